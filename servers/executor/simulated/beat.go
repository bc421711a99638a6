package simulated

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// tryBeat tells of the first node that it is alive, as is done for all of them again and again. There, a refusal is no
// more than a line in the log for a while. A node that is not there yet is refused when it is made.
func (ns *Nodes) tryBeat(ctx context.Context, client kubernetes.Interface) error {
	name := ns.nodeName(1)
	// Nothing is changed by it, but those who may refuse a change are asked.
	_, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	leases := client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	now := metav1.NewMicroTime(time.Now())
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // somebody else beats
	}
	return err
}
