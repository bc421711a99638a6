package simulated

import (
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// kwok gets the pods of a node when its watch has told it that it holds the lease, and all others at once. Where it
// does not hold the lease, it is not kept waiting for ever.
func TestPodsAfterTheirLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newHeld(fake.NewClientset())
		leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
		w, err := leases.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		hold := func(node, holder string) {
			t.Helper()
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
			if _, err := leases.Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		list := func(selector string) (listed *bool) {
			t.Helper()
			listed = new(bool)
			go func() {
				if _, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: selector}); err != nil {
					t.Error(err)
				}
				*listed = true
			}()
			synctest.Wait()
			return listed
		}

		hold("one", manager)
		one, other := list("spec.nodeName=one"), list("spec.nodeName=other")
		if *one || *other {
			t.Error("pods are listed before kwok has been told of the lease")
		}
		if !*list("") || !*list("spec.nodeName!=") {
			t.Error("others are held back, too")
		}
		<-w.ResultChan()
		synctest.Wait()
		if !*one || *other || !*list("spec.nodeName=one") {
			t.Error("what is listed has nothing to do with the lease")
		}
		hold("other", "somebody")
		<-w.ResultChan()
		synctest.Wait()
		if *other {
			t.Error("pods are listed of whose node somebody else has the lease")
		}
		time.Sleep(heldLimit)
		synctest.Wait()
		if !*other {
			t.Error("it is kept waiting")
		}
		if err := leases.Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		<-w.ResultChan()
		if synctest.Wait(); *list("spec.nodeName=one") {
			t.Error("pods are listed of a node whose lease is gone")
		}
		time.Sleep(heldLimit)
	})
}
