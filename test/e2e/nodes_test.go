package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// What a cluster's users do with nodes works on simulated ones.
func TestNodes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--executor.nodes=10", "--executor.node-zones=3", "--executor.node-capacity=cpu=64,memory=8Gi", "--executor.node-labels=pool=test")
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))

	sideBySide(t, unlimited,
		subtest{"nodes", func(t *testing.T) { testNodeObjects(t, client) }},
		subtest{"rollout", func(t *testing.T) { testRollout(t, h, client) }},
		subtest{"job", func(t *testing.T) {
			h.must(t, "kubectl", "create", "job", "sum", "--image=example.invalid/sum")
			h.must(t, "kubectl", "wait", "--for=condition=complete", "job/sum", patient)
			h.must(t, "kubectl", "delete", "job", "sum", patient)
		}},
		subtest{"stateful set", func(t *testing.T) {
			h.apply(t, workload("StatefulSet", "db", "serviceName: db\n  replicas: 3", ""))
			h.must(t, "kubectl", "rollout", "status", "statefulset/db", patient)
			if out := h.must(t, "kubectl", "get", "pods", "-l", "app=db", "-o", "name"); out != "pod/db-0\npod/db-1\npod/db-2\n" {
				t.Errorf("pods: %s", out)
			}
			h.must(t, "kubectl", "delete", "statefulset", "db", patient)
		}},
		subtest{"daemon set", func(t *testing.T) {
			h.apply(t, workload("DaemonSet", "agent", "", ""))
			h.must(t, "kubectl", "rollout", "status", "daemonset/agent", patient)
			// A new node has a taint until the controller-manager has seen that it is ready. Until then no pod is
			// wanted, and a rollout of none is a whole one.
			h.until(t, "daemonset/agent", "{.status.numberReady}", "10")
			// Its pods, too: a drain refuses those of a DaemonSet that is gone.
			h.must(t, "kubectl", "delete", "daemonset", "agent", "--cascade=foreground", patient)
		}},
		subtest{"kubelet", func(t *testing.T) { testSimulatedKubelet(t, h) }},
		subtest{"grace", func(t *testing.T) { testGrace(t, h, client) }},
		subtest{"namespace", func(t *testing.T) {
			h.must(t, "kubectl", "create", "namespace", "short")
			h.must(t, "kubectl", "-n", "short", "create", "deployment", "web", "--image=example.invalid/web", "--replicas=5")
			h.must(t, "kubectl", "-n", "short", "rollout", "status", "deployment/web", patient)
			// Its controller begins five seconds after each change of it (namespaceDeletionGracePeriod), of which there
			// are two.
			h.must(t, "kubectl", "delete", "namespace", "short", patient)
		}},
	)
	// These have other pods go, or not be ready. Each has nodes of its own for it.
	sideBySide(t, unlimited,
		subtest{"affinity and taints", func(t *testing.T) { testPlacement(t, h, client) }},
		subtest{"drain", func(t *testing.T) { testDrain(t, h, client) }},
		subtest{"node failure", func(t *testing.T) { testNodeFailure(t, h) }},
	)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if stderr := p.stderr.String(); strings.Contains(stderr, "failed to delete pod") {
		t.Errorf("the executor complains of pods that are gone:\n%s", stderr)
	}
}

// workload is the manifest of something that makes pods.
func workload(kind, name, spec, podSpec string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: %[1]s
metadata:
  name: %[2]s
spec:
  %[3]s
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      containers: [{name: main, image: example.invalid/main}]
      %[4]s
`, kind, name, spec, podSpec)
}

func testNodeObjects(t *testing.T, client kubernetes.Interface) {
	ctx := t.Context()
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "pool=test"})
	if err != nil {
		t.Fatal(err)
	}
	zones, ranges := map[string]int{}, map[string]bool{}
	for _, n := range nodes.Items {
		zones[n.Labels[corev1.LabelTopologyZone]]++
		ranges[n.Spec.PodCIDR] = true
		if cpu, memory, pods := n.Status.Allocatable.Cpu(), n.Status.Allocatable.Memory(), n.Status.Allocatable.Pods(); cpu.Value() != 64 ||
			memory.Value() != 8<<30 || pods.Value() != 110 {
			t.Errorf("%s has %v CPUs, %v of memory and room for %v pods", n.Name, cpu, memory, pods)
		}
		poll(t, "the lease of "+n.Name, func(ctx context.Context) (bool, error) {
			_, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, n.Name, metav1.GetOptions{})
			return err == nil, ignore(err, apierrors.IsNotFound)
		})
	}
	if len(nodes.Items) != 10 || len(ranges) != 10 || zones["local-a"] != 4 || zones["local-b"] != 3 || zones["local-c"] != 3 {
		t.Errorf("%d nodes with %d ranges in zones %v", len(nodes.Items), len(ranges), zones)
	}
}

// A Deployment is rolled out, changed, and scaled to 200. Each pod has an address of its own, of its node's range.
func testRollout(t *testing.T, h home, client kubernetes.Interface) {
	h.must(t, "kubectl", "create", "deployment", "web", "--image=example.invalid/web:1", "--replicas=3")
	h.must(t, "kubectl", "rollout", "status", "deployment/web", patient)
	h.must(t, "kubectl", "set", "image", "deployment/web", "web=example.invalid/web:2")
	h.must(t, "kubectl", "rollout", "status", "deployment/web", patient)
	h.must(t, "kubectl", "scale", "deployment/web", "--replicas=200")
	h.must(t, "kubectl", "rollout", "status", "deployment/web", patient)
	ctx := t.Context()
	pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web", FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ranges := map[string]netip.Prefix{}
	for _, node := range nodes.Items {
		ranges[node.Name] = netip.MustParsePrefix(node.Spec.PodCIDR)
	}
	addresses := map[string]bool{}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			continue // of the first version
		}
		node := pod.Spec.NodeName
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if err != nil || !ranges[node].IsValid() || !ranges[node].Contains(address) || addresses[pod.Status.PodIP] {
			t.Errorf("%s has the address %q on %s with %s; taken: %v", pod.Name, pod.Status.PodIP, node, ranges[node], addresses[pod.Status.PodIP])
		}
		addresses[pod.Status.PodIP] = true
	}
	if len(addresses) != 200 {
		t.Errorf("%d pods have an address, want 200", len(addresses))
	}
	h.must(t, "kubectl", "delete", "deployment", "web")
}

// The scheduler's rules hold: a taint keeps pods away, a selector chooses the zone.
func testPlacement(t *testing.T, h home, client kubernetes.Interface) {
	h.must(t, "kubectl", "taint", "nodes", "node-1", "dedicated=db:NoSchedule")
	h.apply(t, workload("Deployment", "placed", "replicas: 12", "nodeSelector: {topology.kubernetes.io/zone: local-a}"))
	h.must(t, "kubectl", "rollout", "status", "deployment/placed", patient)
	pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=placed"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		// Of local-a are 1, 4, 7 and 10.
		if node := pod.Spec.NodeName; node != "node-4" && node != "node-7" && node != "node-10" {
			t.Errorf("%s is on %s", pod.Name, node)
		}
	}
	h.must(t, "kubectl", "taint", "nodes", "node-1", "dedicated-")
	h.must(t, "kubectl", "delete", "deployment", "placed")
}

func testDrain(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, workload("Deployment", "spread", "replicas: 20", ""))
	h.must(t, "kubectl", "rollout", "status", "deployment/spread", patient)
	h.must(t, "kubectl", "drain", "node-2", "--ignore-daemonsets", patient)
	h.must(t, "kubectl", "rollout", "status", "deployment/spread", patient)
	pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=spread", FieldSelector: "spec.nodeName=node-2"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) > 0 {
		t.Errorf("%d pods are still on the node", len(pods.Items))
	}
	h.must(t, "kubectl", "uncordon", "node-2")
	h.must(t, "kubectl", "delete", "deployment", "spread")
}

// What cannot be simulated is said.
func testSimulatedKubelet(t *testing.T, h home) {
	h.must(t, "kubectl", "run", "one", "--image=example.invalid/one")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/one", patient)
	const simulated = "the pod default/one is on a simulated node: no container runs, and "
	if out := h.must(t, "kubectl", "logs", "one"); out != simulated+"nothing is logged\n" {
		t.Errorf("kubectl logs: %q", out)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"exec", "one", "--", "ls"}, "no command can be run in it"},
		{[]string{"attach", "one"}, "no command can be run in it"},
	} {
		if r := h.km(t, append([]string{"kubectl"}, test.args...)...); r.code == 0 || !strings.Contains(r.stderr, simulated+test.want) {
			t.Errorf("kubectl %s: exit code %d, %q", strings.Join(test.args, " "), r.code, r.stderr)
		}
	}
	h.must(t, "kubectl", "delete", "pod", "one", patient)
}

// A deleted pod is there for a moment, as one whose process is asked to end, and then gone, well before its grace
// period is over; one that is to be gone at once is.
func testGrace(t *testing.T, h home, client kubernetes.Interface) {
	ctx := t.Context()
	h.must(t, "kubectl", "run", "slow", "--image=example.invalid/slow")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/slow", patient)
	w, err := client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=slow"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	h.must(t, "kubectl", "delete", "pod", "slow", "--grace-period=100000", patient)
	ending := false
	awaitEvent(t, "the end of the pod", w, func(e watch.Event) bool {
		pod := e.Object.(*corev1.Pod)
		ending = ending || e.Type == watch.Modified && pod.DeletionTimestamp != nil && pod.Status.Phase == corev1.PodRunning
		return e.Type == watch.Deleted
	})
	if !ending {
		t.Error("it was gone without having been asked to end")
	}
	h.must(t, "kubectl", "run", "now", "--image=example.invalid/now")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/now", patient)
	h.must(t, "kubectl", "delete", "pod", "now", "--force", "--grace-period=0", patient)
}

// How nodes behave is for users to change: a Stage that they add plays a node's failure, and its end the recovery.
func testNodeFailure(t *testing.T, h home) {
	h.apply(t, `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: node-fails
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchLabels: {fails: "true"}
    matchExpressions:
    - key: '.status.conditions.[] | select( .type == "Ready" ) | .status'
      operator: In
      values: ["True"]
  weight: 1000000
  next:
    statusTemplate: |
      conditions:
      - type: Ready
        status: "False"
        reason: Played
        lastHeartbeatTime: {{ Now | Quote }}
        lastTransitionTime: {{ Now | Quote }}
`)
	// kwok's own Stage would bring the node back at once.
	h.must(t, "kubectl", "patch", "stage", "node-initialize", "--type=merge", "-p", `{"spec":{"selector":{"matchExpressions":[
		{"key":".status.conditions.[] | select( .type == \"Ready\" ) | .status","operator":"NotIn","values":["True"]},
		{"key":".metadata.labels.fails","operator":"DoesNotExist"}]}}}`)
	h.must(t, "kubectl", "label", "node", "node-3", "fails=true")
	h.must(t, "kubectl", "wait", "--for=condition=ready=false", "node/node-3", patient)
	h.must(t, "kubectl", "label", "node", "node-3", "fails-")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "node/node-3", patient)
}

// Nodes survive a restart; those that are too many are deleted, and their pods go to others. What users changed stays.
func TestFewerNodes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	nodes := func(want string) {
		t.Helper()
		if out := h.must(t, "kubectl", "get", "nodes", "-o", "name"); out != want {
			t.Errorf("nodes: %q, want %q", out, want)
		}
	}
	p := h.run(t, "--executor.nodes=3")
	// There are some on each node, also if the taint of one that is new goes later than that of another one.
	h.apply(t, workload("Deployment", "web", "replicas: 6",
		"topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]"))
	h.must(t, "kubectl", "rollout", "status", "deployment/web", patient)
	h.must(t, "kubectl", "label", "node", "node-1", "mine=yes")
	h.must(t, "kubectl", "delete", "stage", "pod-complete")
	h.must(t, "kubectl", "annotate", "stage", "pod-ready", "mine=yes")
	h.must(t, "kubectl", "patch", "stage", "pod-crash", "--type=merge", "-p", `{"spec":{"delay":{"durationMilliseconds":1}}}`)
	// As an older km left it.
	old := writeFile(t, filepath.Join(t.TempDir(), "stage.yaml"), `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-containers, annotations: {km.simulated-stage: old}}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector: {matchLabels: {old: "yes"}}
  next: {delete: true}
`)
	h.must(t, "kubectl", "apply", "--server-side", "--field-manager=km", "--force-conflicts", "-f", old)
	onFirst := metav1.ListOptions{LabelSelector: "app=web", FieldSelector: "spec.nodeName=node-1,status.phase=Running"}
	if first, err := kubernetes.NewForConfigOrDie(h.config(t, "km")).CoreV1().Pods("default").List(t.Context(), onFirst); err != nil || len(first.Items) != 2 {
		t.Fatalf("%d of 6 pods are on the first of 3 nodes (%v)", len(first.Items), err)
	}
	p.stop(syscall.SIGKILL)

	// One node goes without controllers, which are to find it gone when they start; the other one goes while they run.
	p = h.run(t, "executor", "--executor.nodes=2")
	if out := h.must(t, "kubectl", "get", "nodes", "-l", "mine=yes", "-o", "name"); out != "node/node-1\n" {
		t.Errorf("nodes with my label: %q", out)
	}
	nodes("node/node-1\nnode/node-2\n")
	h.must(t, "kubectl", "get", "stage", "pod-complete") // it is there again
	if out := h.must(t, "kubectl", "get", "stage", "pod-ready", "-o", "jsonpath={.metadata.annotations.mine}"); out != "yes" {
		t.Errorf("the changed Stage: %q", out)
	}
	if out := h.must(t, "kubectl", "get", "stage", "pod-crash", "-o", "jsonpath={.spec.delay.durationMilliseconds}"); out != "1" {
		t.Errorf("another changed Stage: delay %q", out)
	}
	if out := h.must(t, "kubectl", "get", "stage", "pod-containers", "-o", "jsonpath={.spec.selector} {.spec.next}"); !strings.Contains(out, "NextStage") || strings.Contains(out, "old") || strings.Contains(out, "delete") {
		t.Errorf("the Stage of an older km: %s", out)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	p = h.run(t, "--executor.nodes=1")
	nodes("node/node-1\n")
	h.must(t, "kubectl", "run", "new", "--image=example.invalid/new")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/new", patient)
	// The port on which nodes answer is another one in each run on free ports.
	if out := h.must(t, "kubectl", "logs", "new"); !strings.Contains(out, "simulated") {
		t.Errorf("kubectl logs: %q", out)
	}
	// The controller of pods on nodes that are gone looks when it starts and every 20 seconds, and waits for 40 seconds
	// whether a node comes again (k8s.io/kubernetes/pkg/controller/podgc, gcCheckPeriod and quarantineTime). The pods
	// of the node that was gone when it started have gone then; those of the other one would take a look more.
	w, err := kubernetes.NewForConfigOrDie(h.config(t, "km")).CoreV1().Pods("default").Watch(t.Context(), onFirst)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	pods := map[string]bool{}
	awaitEvent(t, "the pods of the node are on the one that is left", w, func(e watch.Event) bool {
		if name := e.Object.(*corev1.Pod).Name; e.Type == watch.Deleted {
			delete(pods, name)
		} else {
			pods[name] = true
		}
		return len(pods) >= 4
	})
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A node's name that is taken by one that is not simulated is not taken over.
func TestNodeNameTaken(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "apiserver")
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte("{apiVersion: v1, kind: Node, metadata: {name: node-1}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must(t, "kubectl", "create", "-f", file)
	p.stop(syscall.SIGTERM)
	p = h.start(t, binary, "run", "--free-ports", "executor")
	if code := p.wait(); code != 1 || !strings.Contains(p.stderr.String(), "Error: executor failed: there is a node node-1 already that is not simulated: use another --executor.node-prefix") {
		t.Errorf("exit code %d", code)
	}
	h.run(t, "executor", "--executor.node-prefix=sim-").stop(syscall.SIGTERM)
}

// The executor plays nodes for a cluster elsewhere; and called as minion, km is a node of one.
func TestNodesElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "controller-manager,scheduler")
	kubeconfig := filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")
	other := newHome(t)
	beside := other.run(t, "executor", "--executor.kubeconfig="+kubeconfig, "--executor.nodes=2")
	h.must(t, "kubectl", "run", "one", "--image=example.invalid/one")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/one", patient)
	if code := beside.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	alone := other.start(t, binary, "minion", "--kubeconfig="+kubeconfig, "--nodes=1", "--node-prefix=alone-", "--free-ports")
	h.must(t, "kubectl", "wait", "--for=create", "node/alone-1", patient)
	h.must(t, "kubectl", "wait", "--for=condition=ready", "node/alone-1", patient)
	for _, p := range []*process{alone, p} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}
