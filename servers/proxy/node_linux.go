package proxy

import (
	"context"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	utilnode "k8s.io/kubernetes/pkg/util/node"
)

// node is the one that the proxy runs on, as the cluster knows it.
type node struct {
	name     string
	informer coreinformers.NodeInformer
}

// watchNode follows a node. Where upstream ends the process, because the node was deleted or has another address, it
// tells.
func watchNode(ctx context.Context, client kubernetes.Interface, name string, resync time.Duration) *node {
	logger := klog.FromContext(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}))
	n := &node{name: name, informer: factory.Core().V1().Nodes()}
	_, err := n.informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(old, now any) {
			before, after := addressesOf(old.(*corev1.Node)), addressesOf(now.(*corev1.Node))
			if len(before) > 0 && !slices.EqualFunc(before, after, net.IP.Equal) {
				logger.Error(nil, "The node has other addresses now; where Services are for its addresses, they are for the old ones until km is started again",
					"node", name, "before", before, "now", after)
			}
		},
		DeleteFunc: func(any) { logger.Error(nil, "The node was deleted; its rules stay", "node", name) },
	})
	if err != nil {
		logger.Error(err, "The node is not watched", "node", name) // the informer has been stopped
	}
	factory.Start(ctx.Done())
	return n
}

// Node returns the node, or nil if there is none.
func (n *node) Node() *corev1.Node {
	found, err := n.informer.Lister().Get(n.name)
	if err != nil {
		return nil // the only error is that it is not there
	}
	return found
}

// nodeTime is how long the proxy waits for its node to have an address, as upstream's does.
const nodeTime = 30 * time.Second

// addresses waits until the node has addresses, and returns them; none if that takes too long.
func (n *node) addresses(ctx context.Context) (found []net.IP) {
	err := wait.PollUntilContextTimeout(ctx, 25*time.Millisecond, nodeTime, true, func(context.Context) (bool, error) {
		if node := n.Node(); node != nil {
			found = addressesOf(node)
		}
		return len(found) > 0, nil
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "The node has no address; the proxy goes on without", "node", n.name)
	}
	return found
}

func (n *node) podCIDRs() []string {
	if node := n.Node(); node != nil {
		return node.Spec.PodCIDRs
	}
	return nil
}

func addressesOf(node *corev1.Node) []net.IP {
	found, err := utilnode.GetNodeHostIPs(node)
	if err != nil {
		return nil // it has none
	}
	return found
}
