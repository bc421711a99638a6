package dns

import (
	"context"
	"fmt"
	"net"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/cluster"
)

// service is the name under which a DNS server is known in every cluster.
const service = "kube-dns"

// manager is who made the objects, in the label that says so (discoveryv1.LabelManagedBy).
const manager = "km-dns"

var ports = []struct {
	name     string
	protocol corev1.Protocol
}{{"dns", corev1.ProtocolUDP}, {"dns-tcp", corev1.ProtocolTCP}}

// endpoint is one server of the cluster's, of which each machine with a control plane may have one.
type endpoint struct {
	machine string // empty where the cluster is this machine's alone
	joined  bool   // the cluster is one that the machine has joined
	address string
	port    int32
}

// slice is the name of the object that says where it is. The others have theirs. That of the first machine is called as
// before there were others.
func (e endpoint) slice() string {
	if e.joined {
		return service + "-" + e.machine
	}
	return service + "-km"
}

// publish makes the Service by which pods reach the server: the address in it is that of the server, and not of pods.
func publish(ctx context.Context, client kubernetes.Interface, clusterIP string, e endpoint) error {
	wanted := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name:      service,
			Namespace: metav1.NamespaceSystem,
			Labels:    map[string]string{"k8s-app": service, "kubernetes.io/name": "CoreDNS", discoveryv1.LabelManagedBy: manager},
		},
		Spec: corev1.ServiceSpec{ClusterIP: clusterIP},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:      e.slice(),
			Namespace: metav1.NamespaceSystem,
			Labels:    map[string]string{discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: manager},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{e.address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
	}
	if e.machine != "" { // by it, the slice is found when the machine leaves
		slice.Labels[cluster.MachineLabel] = e.machine
	}
	if net.ParseIP(e.address).To4() == nil {
		slice.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, p := range ports {
		wanted.Spec.Ports = append(wanted.Spec.Ports, corev1.ServicePort{
			Name: p.name, Protocol: p.protocol, Port: 53, TargetPort: intstr.FromInt32(e.port),
		})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.name), Protocol: ptr.To(p.protocol), Port: ptr.To(e.port)})
	}
	services := client.CoreV1().Services(metav1.NamespaceSystem)
	there, err := services.Get(ctx, service, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		if _, err := services.Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("the Service %s/%s cannot be made: %w", metav1.NamespaceSystem, service, err)
		}
	case err != nil:
		return err
	case there.Labels[discoveryv1.LabelManagedBy] != manager:
		return fmt.Errorf("there is a Service %s/%s already, of another DNS server: name that one's address with --executor.cluster-dns, and this one does not join",
			metav1.NamespaceSystem, service)
	}
	return ensureSlice(ctx, client, slice)
}

// ensureSlice makes the endpoints of the Service, or brings those of an earlier run up to date.
func ensureSlice(ctx context.Context, client kubernetes.Interface, wanted *discoveryv1.EndpointSlice) error {
	all := client.DiscoveryV1().EndpointSlices(wanted.Namespace)
	// A list, which the server's role in clusters of before allows.
	there, err := all.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", wanted.Name).String()})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(there.Items, func(s discoveryv1.EndpointSlice) bool { return s.Name == wanted.Name })
	if at < 0 {
		_, err = all.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	old := &there.Items[at]
	if equality.Semantic.DeepDerivative(wanted, old) && len(wanted.Endpoints) == len(old.Endpoints) && len(wanted.Ports) == len(old.Ports) {
		return nil
	}
	_, err = all.Update(ctx, wanted, metav1.UpdateOptions{})
	return err
}
