package simulated

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/kwok/pkg/consts"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/versions"
)

const (
	// fakeAnnotation is kwok's: nodes for which it is fake are played, whoever made them.
	fakeAnnotation = "kwok.x-k8s.io/node"
	fakeValue      = "fake"
	// ourLabel is on the nodes that the executor made, and may delete.
	ourLabel = "km.simulated-node"
	// nodeIP is the address of all nodes: they differ in nothing but their names.
	nodeIP = "127.0.0.1"
)

func (ns *Nodes) nodeName(n int) string { return ns.Prefix + strconv.Itoa(n) }

// selector finds the nodes that are played here: those of this machine, if it has joined a cluster, otherwise those of
// no machine.
func (ns *Nodes) selector() string {
	if ns.Machine == "" {
		return "!" + cluster.MachineLabel
	}
	return cluster.MachineLabel + "=" + ns.Machine
}

func nameErrors(name string) []string { return validation.IsDNS1123Subdomain(name) }

// resources are what each node has.
func (ns *Nodes) resources() (corev1.ResourceList, error) {
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourcePods:             *resource.NewQuantity(110, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(100<<30, resource.BinarySI),
	}
	memory, err := machineMemory()
	if err != nil {
		return nil, err
	}
	list[corev1.ResourceMemory] = *resource.NewQuantity(memory, resource.BinarySI)
	for pair := range strings.SplitSeq(ns.Capacity, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, amount, ok := strings.Cut(pair, "=")
		if why := validation.IsQualifiedName(name); !ok || len(why) > 0 {
			return nil, fmt.Errorf("%q is not of the form RESOURCE=QUANTITY, such as memory=32Gi", pair)
		}
		quantity, err := resource.ParseQuantity(amount)
		if err != nil || quantity.Sign() < 0 {
			return nil, fmt.Errorf("%q: %q is no quantity, such as 500m, 8 or 32Gi", pair, amount)
		}
		list[corev1.ResourceName(name)] = quantity
	}
	return list, nil
}

// node is the n-th node.
func (ns *Nodes) node(n int, resources corev1.ResourceList, port int) *corev1.Node {
	name := ns.nodeName(n)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{fakeAnnotation: fakeValue},
			Labels: map[string]string{
				ourLabel:                           "true",
				corev1.LabelHostname:               name,
				corev1.LabelOSStable:               runtime.GOOS,
				corev1.LabelArchStable:             runtime.GOARCH,
				corev1.LabelTopologyRegion:         "local",
				corev1.LabelTopologyZone:           "local-" + string(rune('a'+(n-1)%ns.Zones)),
				"node.kubernetes.io/instance-type": "simulated",
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    resources,
			Allocatable: resources,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: nodeIP},
				{Type: corev1.NodeHostName, Address: name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion:          versions.Kubernetes(),
				OSImage:                 "simulated",
				ContainerRuntimeVersion: "kwok://simulated",
				OperatingSystem:         "linux",
				Architecture:            runtime.GOARCH,
			},
		},
	}
	if ns.Host != "" {
		node.Annotations[cluster.MachineLabel] = ns.Host
	}
	if ns.Machine != "" {
		node.Labels[cluster.MachineLabel] = ns.Machine
	}
	for key, value := range ns.Labels {
		node.Labels[key] = value
	}
	// Each has a /24 of the range; check has seen that there are enough.
	base := netip.MustParsePrefix(ns.PodCIDR).Masked().Addr().As4()
	third := (int(base[0])<<16 | int(base[1])<<8 | int(base[2])) + n - 1
	node.Spec.PodCIDR = fmt.Sprintf("%d.%d.%d.0/24", third>>16&0xff, third>>8&0xff, third&0xff)
	node.Spec.PodCIDRs = []string{node.Spec.PodCIDR}
	return node
}

// initialized is the node as kwok's Stage node-initialize leaves it: Ready.
func initialized(node *corev1.Node) *corev1.Node {
	now := metav1.Now()
	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory",
			Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID",
			Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse, Reason: "RouteCreated", Message: "RouteController created a route"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = now, now
		node.Status.Conditions = append(node.Status.Conditions, c)
	}
	kwok := "kwok-" + consts.Version
	node.Status.NodeInfo.KernelVersion = kwok
	node.Status.NodeInfo.KubeProxyVersion = kwok //lint:ignore SA1019 the Stage gives it, too
	node.Status.Phase = corev1.NodeRunning
	return node
}

// ensureNodes makes the nodes, and deletes those of an earlier run that are too many. plain is asked whether new ones
// are made as the Stages would leave them: that is two changes less of each, of which all are told who watch nodes.
func (ns *Nodes) ensureNodes(ctx context.Context, client kubernetes.Interface, port int, plain func(context.Context) (bool, error)) error {
	resources, err := ns.resources()
	if err != nil {
		return err
	}
	there, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	have := map[string]*corev1.Node{}
	for i := range there.Items {
		have[there.Items[i].Name] = &there.Items[i]
	}
	missing := false
	for n := range ns.Count {
		name := ns.nodeName(n + 1)
		node := have[name]
		switch {
		case node == nil:
		case node.Annotations[fakeAnnotation] == "":
			return fmt.Errorf("there is a node %s already that is not simulated: use another --executor.node-prefix", name)
		case node.Labels[cluster.MachineLabel] != ns.Machine:
			return fmt.Errorf("there is a node %s already that another machine simulates: use another --executor.node-prefix", name)
		}
		missing = missing || node == nil
	}
	ready := false
	if missing {
		if ready, err = plain(ctx); err != nil {
			return err
		}
	}
	var g errgroup.Group
	g.SetLimit(16)
	for n := range ns.Count {
		want := ns.node(n+1, resources, port)
		old := have[want.Name]
		delete(have, want.Name)
		if old == nil && ready {
			want = initialized(want)
		}
		g.Go(func() error { return ensureNode(ctx, client, old, want) })
	}
	for name, node := range have {
		// Those with another prefix may be another executor's.
		if n, err := strconv.Atoi(strings.TrimPrefix(name, ns.Prefix)); err == nil && name == ns.nodeName(n) &&
			node.Labels[ourLabel] != "" && node.Labels[cluster.MachineLabel] == ns.Machine {
			g.Go(func() error { return deleteNode(ctx, client, name) })
		}
	}
	return g.Wait()
}

// ensureNode makes a node, or brings the labels and resources of one that is there up to date. What others have added
// to it stays.
func ensureNode(ctx context.Context, client kubernetes.Interface, old, want *corev1.Node) error {
	nodes := client.CoreV1().Nodes()
	if old == nil { // with its status, as a kubelet does it
		_, err := nodes.Create(ctx, want, metav1.CreateOptions{})
		return err
	}
	node := old.DeepCopy()
	for key, value := range want.Labels {
		metav1.SetMetaDataLabel(&node.ObjectMeta, key, value)
	}
	for key, value := range want.Annotations {
		metav1.SetMetaDataAnnotation(&node.ObjectMeta, key, value)
	}
	var err error
	if !maps.Equal(node.Labels, old.Labels) || !maps.Equal(node.Annotations, old.Annotations) {
		if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	node.Status.Capacity, node.Status.Allocatable = want.Status.Capacity, want.Status.Allocatable
	node.Status.NodeInfo, node.Status.Addresses = want.Status.NodeInfo, want.Status.Addresses
	node.Status.DaemonEndpoints = want.Status.DaemonEndpoints // it may be another port in each run
	if !equality.Semantic.DeepEqual(node.Status, old.Status) {
		if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// waitFor asks until f says so; its errors only until ctx ends.
func waitFor(ctx context.Context, f wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextCancel(ctx, 25*time.Millisecond, true, f)
}

// Forget deletes the nodes that an earlier run simulated on this machine: nobody plays them any more.
func (ns *Nodes) Forget(ctx context.Context, kubeconfig string) error {
	client, err := cluster.Client(kubeconfig)
	if err != nil {
		return err
	}
	there, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: ourLabel + "," + ns.selector()})
	if err != nil {
		return err
	}
	for _, node := range there.Items {
		if err := deleteNode(ctx, client, node.Name); err != nil {
			return err
		}
	}
	return nil
}

func deleteNode(ctx context.Context, client kubernetes.Interface, name string) error {
	err := client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
