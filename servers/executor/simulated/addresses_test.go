package simulated

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// testAddresses are addresses with a cluster of these nodes, written as NAME=RANGE,RANGE, and no pods.
type testAddresses struct {
	*addresses
	t      *testing.T
	client *fake.Clientset
}

func newTestAddresses(t *testing.T, spare string, nodes ...string) *testAddresses {
	a := &testAddresses{t: t, client: fake.NewClientset()}
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	for _, text := range nodes {
		name, cidrs, _ := strings.Cut(text, "=")
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if cidrs != "" {
			node.Spec.PodCIDRs = strings.Split(cidrs, ",")
		}
		if err := store.Add(node); err != nil {
			t.Fatal(err)
		}
	}
	a.addresses = newAddresses(a.client, follower[*corev1.Node]{Store: store}, spare)
	return a
}

// again is what another life of the executor has.
func (a *testAddresses) again() {
	a.addresses = newAddresses(a.client, a.nodes, a.spare.String())
}

// start makes a pod on a node and gives it its addresses, as a Stage does.
func (a *testAddresses) start(name, node string) []string {
	a.t.Helper()
	ctx := a.t.Context()
	ips, err := a.give(name, node)
	if err != nil {
		a.t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: node}}
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, ips[0]
	for _, ip := range ips {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if _, err := a.client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		a.t.Fatal(err)
	}
	return ips
}

func (a *testAddresses) give(name, node string) ([]string, error) {
	f := a.functions(a.t.Context())["PodIPsWith"].(func(string, bool, string, string, string) ([]string, error))
	return f(node, false, name, name, "default")
}

func (a *testAddresses) delete(name string) {
	a.t.Helper()
	if err := a.client.CoreV1().Pods("default").Delete(a.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	a := newTestAddresses(t, "10.128.0.0/12", "one=10.128.0.0/24", "two=10.128.1.0/24", "mine")
	taken := map[string]string{}
	n := 0
	start := func(node, within string) {
		name := fmt.Sprintf("pod-%d", n)
		n++
		for _, ip := range a.start(name, node) {
			if taken[ip] != "" {
				t.Fatalf("%s has the address %s of %s", name, ip, taken[ip])
			}
			if !netip.MustParsePrefix(within).Contains(netip.MustParseAddr(ip)) {
				t.Errorf("%s on %s has the address %s, want one in %s", name, node, ip, within)
			}
			taken[ip] = name
		}
	}
	for range 2 {
		for range 50 {
			start("one", "10.128.0.0/24")
			start("two", "10.128.1.0/24")
			start("mine", "10.143.255.0/24") // it has no range, and gets the end of the cluster's
		}
		a.again()
	}
	for range 154 {
		start("one", "10.128.0.0/24")
	}
	for range 300 {
		start("one", "10.143.254.0/23") // its range is full
	}
}

// A Stage may be played twice, and the executor may have begun anew in between: a pod has one address.
func TestAddressesStay(t *testing.T) {
	a := newTestAddresses(t, "10.128.0.0/12", "one=10.128.0.0/24,fd00::/64", "two=10.128.1.0/24")
	first := a.start("pod", "one")
	if want := []string{"10.128.0.1", "fd00::1"}; !slices.Equal(first, want) {
		t.Errorf("%v, want %v", first, want)
	}
	a.start("other", "one")
	for range 2 {
		if ips, err := a.give("pod", "one"); err != nil || !slices.Equal(ips, first) {
			t.Errorf("asked again: %v, %v; want %v", ips, err, first)
		}
		a.again()
	}
}

// What deleted and finished pods had is given again, but not soon.
func TestAddressesComeBack(t *testing.T) {
	a := newTestAddresses(t, "10.128.0.0/24", "one=10.128.0.0/24")
	first := a.start("pod-0", "one")[0]
	a.delete("pod-0")
	if second := a.start("pod-1", "one")[0]; second == first {
		t.Error("the address of a deleted pod is given to the next one")
	}
	for n := 2; n <= 254; n++ {
		a.start(fmt.Sprintf("pod-%d", n), "one")
	}
	_, err := a.give("too-many", "one")
	if !apierrors.IsTooManyRequests(err) || !strings.Contains(err.Error(), "range 10.128.0.0/24 has no free address") {
		t.Errorf("with all addresses taken: %v", err)
	}
	pod, err := a.client.CoreV1().Pods("default").Get(t.Context(), "pod-100", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodSucceeded
	if _, err := a.client.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if ips, err := a.give("next", "one"); err != nil || ips[0] != pod.Status.PodIP {
		t.Errorf("%v, %v; want %s, as pod-100 has ended", ips, err, pod.Status.PodIP)
	}
}

// A pod in the network of its host has the host's addresses, one of each family.
func TestHostAddresses(t *testing.T) {
	node := &corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "one"}, {Type: corev1.NodeExternalIP, Address: "192.0.2.1"},
		{Type: corev1.NodeExternalIP, Address: "2001:db8::1"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"},
	}}}
	if got, want := hostAddresses(node), []string{"10.0.0.1", "2001:db8::1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := hostAddresses(&corev1.Node{}), []string{nodeIP}; !slices.Equal(got, want) {
		t.Errorf("without addresses: %v, want %v", got, want)
	}
}
