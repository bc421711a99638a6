package machine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// Machines read what others have told, and when.
func TestRegistry(t *testing.T) {
	client := fake.NewClientset(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: "kube-scheduler"}})
	list := func(want ...Machine) {
		t.Helper()
		got, err := List(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			got[i].Seen = got[i].Seen.UTC()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	list()
	synctest.Test(t, func(t *testing.T) {
		one := Machine{Name: "one", Address: "192.168.1.1:6443", Etcd: "https://192.168.1.1:2379", KM: "v1.2.3", Kubernetes: "v1.37.2"}
		two := Machine{Name: "two", Address: "[fd00::2]:6443", Kubernetes: "v1.36.1"}
		tell := func(m Machine) Machine {
			t.Helper()
			if err := m.tell(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			m.Seen = time.Now().UTC()
			return m
		}
		one, two = tell(one), tell(two)
		list(one, two)
		time.Sleep(renewEvery)
		one.Kubernetes, one.Address = "v1.38.0", "192.168.1.3:6443"
		one = tell(one)
		list(one, two)

		time.Sleep((leaseSeconds - 11) * time.Second)
		if now := time.Now(); !one.Alive(now) || !two.Alive(now) {
			t.Error("who told of itself half a minute ago is gone")
		}
		time.Sleep(2 * time.Second)
		if now := time.Now(); !one.Alive(now) || two.Alive(now) {
			t.Error("it is the first that is alive, and not the second")
		}
		if (&Machine{Name: "never"}).Alive(time.Now()) {
			t.Error("who never told of itself is alive")
		}
		for range 2 { // who has been forgotten is forgotten
			if err := forget(t.Context(), client, "one"); err != nil {
				t.Fatal(err)
			}
			list(two)
		}
	})
}
