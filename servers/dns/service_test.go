package dns

import (
	"maps"
	"slices"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/seed-200a7251/km/servers/cluster"
)

// What is there is not written again, and what differs is brought up to date.
func TestPublish(t *testing.T) {
	client := fake.NewClientset()
	writes := func(address string, port int32) (verbs []string) {
		t.Helper()
		client.ClearActions()
		if err := publish(t.Context(), client, "10.96.0.10", endpoint{address: address, port: port}); err != nil {
			t.Fatal(err)
		}
		for _, a := range client.Actions() {
			if verb := a.GetVerb(); verb != "get" && verb != "list" {
				verbs = append(verbs, verb+" "+a.GetResource().Resource)
			}
		}
		return verbs
	}
	for _, test := range []struct {
		address string
		port    int32
		want    []string
	}{
		{"192.0.2.1", 10053, []string{"create services", "create endpointslices"}},
		{"192.0.2.1", 10053, nil},
		{"192.0.2.2", 10053, []string{"update endpointslices"}},
		{"192.0.2.2", 10054, []string{"update endpointslices"}},
		{"192.0.2.2", 10054, nil},
	} {
		if got := writes(test.address, test.port); !slices.Equal(got, test.want) {
			t.Errorf("%s:%d: %q, want %q", test.address, test.port, got, test.want)
		}
	}
	// One of another DNS server stays.
	there, err := client.CoreV1().Services(metav1.NamespaceSystem).Get(t.Context(), service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there.Labels = nil
	if _, err := client.CoreV1().Services(metav1.NamespaceSystem).Update(t.Context(), there, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := publish(t.Context(), client, "10.96.0.10", endpoint{address: "192.0.2.2", port: 10054}); err == nil {
		t.Error("it takes the Service of another one")
	}
}

// The servers of several machines are the Service's together, and each can be told from the others.
func TestPublishSeveral(t *testing.T) {
	client := fake.NewClientset()
	for _, e := range []endpoint{
		{address: "192.0.2.1", port: 10053},
		{address: "192.0.2.1", port: 10053, machine: "one"}, // it lets others join now
		{address: "192.0.2.2", port: 10053, machine: "two", joined: true},
	} {
		if err := publish(t.Context(), client, "10.96.0.10", e); err != nil {
			t.Fatal(err)
		}
	}
	there, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range there.Items {
		found[s.Labels[cluster.MachineLabel]] = s.Endpoints[0].Addresses[0]
	}
	if want := map[string]string{"one": "192.0.2.1", "two": "192.0.2.2"}; !maps.Equal(found, want) {
		t.Errorf("%v, want %v", found, want)
	}
}
