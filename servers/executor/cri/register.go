package cri

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/servers/cluster"
)

// tryRegister returns why the kubelet, which tries it again and again, cannot tell of its node, if users have put
// something in the way of that. It changes nothing, but those who may refuse a change are asked.
func (n *Node) tryRegister(ctx context.Context, client kubernetes.Interface) error {
	nodes := client.CoreV1().Nodes()
	_, err := nodes.Patch(ctx, n.name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		_, err = nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	if cluster.Refused(err) {
		return err
	}
	return nil // whatever it is, the kubelet tells
}
