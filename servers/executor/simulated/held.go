package simulated

import (
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// held is kwok's client. It keeps the pods of a node from kwok until kwok knows that it holds the node's lease. kwok
// lists them when it has made the lease, but leaves them alone, for good, if its watch has not told it of the lease by
// then (PodController.watchResources and NodeLeaseController.Held in pkg/kwok/controllers), as on a busy machine.
type held struct {
	kubernetes.Interface

	mu     sync.Mutex
	told   map[string]bool // of which leases of ours kwok knows, by their nodes
	change chan struct{}   // closed, and replaced, when there is one more
}

// heldLimit is how long pods are kept from kwok at the most: the lease may be somebody else's by then.
const heldLimit = leaseSeconds * time.Second / 2

func newHeld(client kubernetes.Interface) *held {
	return &held{Interface: client, told: map[string]bool{}, change: make(chan struct{})}
}

// tell notes what kwok has been told of a lease.
func (h *held) tell(lease *coordinationv1.Lease, gone bool) {
	ours := !gone && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == manager
	h.mu.Lock()
	defer h.mu.Unlock()
	if ours == h.told[lease.Name] {
		return
	}
	if !ours {
		delete(h.told, lease.Name)
		return
	}
	h.told[lease.Name] = true
	close(h.change)
	h.change = make(chan struct{})
}

// wait waits until kwok has been told of a node's lease.
func (h *held) wait(ctx context.Context, node string) {
	limit := time.NewTimer(heldLimit)
	defer limit.Stop()
	for {
		h.mu.Lock()
		told, change := h.told[node], h.change
		h.mu.Unlock()
		if told {
			return
		}
		select {
		case <-change:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (h *held) CoordinationV1() coordinationclient.CoordinationV1Interface {
	return heldCoordination{h.Interface.CoordinationV1(), h}
}

func (h *held) CoreV1() coreclient.CoreV1Interface { return heldCore{h.Interface.CoreV1(), h} }

type heldCoordination struct {
	coordinationclient.CoordinationV1Interface
	held *held
}

func (c heldCoordination) Leases(namespace string) coordinationclient.LeaseInterface {
	return heldLeases{c.CoordinationV1Interface.Leases(namespace), c.held}
}

type heldLeases struct {
	coordinationclient.LeaseInterface
	held *held
}

func (l heldLeases) List(ctx context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	list, err := l.LeaseInterface.List(ctx, o)
	if err == nil {
		for i := range list.Items {
			l.held.tell(&list.Items[i], false)
		}
	}
	return list, err
}

// Watch tells kwok first, and notes it then.
func (l heldLeases) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	from, err := l.LeaseInterface.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	events := make(chan watch.Event)
	to := watch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		defer from.Stop()
		for {
			select {
			case e, ok := <-from.ResultChan():
				if !ok {
					return
				}
				select {
				case events <- e:
				case <-to.StopChan():
					return
				}
				if lease, ok := e.Object.(*coordinationv1.Lease); ok && e.Type != watch.Bookmark {
					l.held.tell(lease, e.Type == watch.Deleted)
				}
			case <-to.StopChan():
				return
			}
		}
	}()
	return to, nil
}

type heldCore struct {
	coreclient.CoreV1Interface
	held *held
}

func (c heldCore) Pods(namespace string) coreclient.PodInterface {
	return heldPods{c.CoreV1Interface.Pods(namespace), c.held}
}

type heldPods struct {
	coreclient.PodInterface
	held *held
}

func (p heldPods) List(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
	if selector, err := fields.ParseSelector(o.FieldSelector); err == nil {
		if node, one := selector.RequiresExactMatch("spec.nodeName"); one && node != "" {
			p.held.wait(ctx, node)
		}
	}
	return p.PodInterface.List(ctx, o)
}
