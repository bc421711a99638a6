package simulated

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/util/workqueue"
)

// As kubelets have it by default (nodeLeaseDurationSeconds and its renewal in k8s.io/kubernetes/pkg/kubelet).
const (
	// leaseSeconds is for how long a node counts as alive whose lease has been renewed.
	leaseSeconds = 40
	// renewInterval is the time between two renewals, give or take renewJitter of it.
	renewInterval = leaseSeconds * time.Second / 4
	renewJitter   = 0.04
	// renewBackoff is how long it takes to try again, first; it doubles, up to renewInterval.
	renewBackoff = 200 * time.Millisecond
)

// leases renews the leases of all nodes that are played, as their kubelets would. kwok could do so itself, but leaves
// alone the pods of a node whose lease it does not see that it holds: it lists them once, when it has made the lease,
// and never again. On a busy machine, where its watch tells it of the lease later, they would be Pending for good
// (PodController.watchResources and NodeLeaseController.Held in pkg/kwok/controllers).
type leases struct {
	client coordinationclient.LeaseInterface
	log    *slog.Logger
	failed func(error) // called when the API server refuses renewals for longer than a lease lasts
	queue  workqueue.TypedRateLimitingInterface[string]

	mu      sync.Mutex
	nodes   map[string]*nodeLease
	refused time.Time // since when; zero while renewals are not refused
}

// nodeLease is the lease of a node. One worker at a time has it.
type nodeLease struct {
	owner metav1.OwnerReference
	last  *coordinationv1.Lease // as the API server last returned it, or nil
}

// newLeases returns leases that are renewed until ctx ends.
func newLeases(ctx context.Context, client kubernetes.Interface, log *slog.Logger, failed func(error)) *leases {
	l := &leases{
		client: client.CoordinationV1().Leases(corev1.NamespaceNodeLease),
		log:    log,
		failed: failed,
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](renewBackoff, renewInterval)),
		nodes: map[string]*nodeLease{},
	}
	context.AfterFunc(ctx, l.queue.ShutDown)
	return l
}

// changed is told of each node that is there, or has changed.
func (l *leases) changed(node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.nodes[node.Name]
	switch {
	case node.Annotations[fakeAnnotation] != fakeValue:
		delete(l.nodes, node.Name)
	case known == nil || known.owner.UID != node.UID:
		l.nodes[node.Name] = newNodeLease(node.Name, node.UID)
		l.queue.Add(node.Name)
	}
}

func newNodeLease(name string, uid types.UID) *nodeLease {
	return &nodeLease{owner: metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: name, UID: uid}}
}

// deleted is told of each node that goes.
func (l *leases) deleted(node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, node.Name)
}

// work renews leases, one after the other, until ctx ends, which is that of newLeases.
func (l *leases) work(ctx context.Context) error {
	for l.next(ctx) {
	}
	return nil
}

// next renews the next lease that is due. It returns false when there is an end to it.
func (l *leases) next(ctx context.Context) bool {
	name, end := l.queue.Get()
	if end {
		return false
	}
	defer l.queue.Done(name)
	l.mu.Lock()
	lease := l.nodes[name]
	l.mu.Unlock()
	if lease == nil {
		l.queue.Forget(name)
		return true
	}
	err := lease.renew(ctx, l.client)
	if ctx.Err() != nil {
		return true
	}
	l.answered(err, time.Now())
	if err != nil {
		l.log.Error("the lease of a node is not renewed", "node", name, "err", err)
		l.queue.AddRateLimited(name)
		return true
	}
	l.log.Debug("the lease of a node is renewed", "node", name)
	l.queue.Forget(name)
	l.queue.AddAfter(name, wait.Jitter(renewInterval, renewJitter))
	return true
}

// renew renews the lease, or makes it. It takes over what is there: a lease of an earlier run, or somebody else's.
func (l *nodeLease) renew(ctx context.Context, client coordinationclient.LeaseInterface) error {
	ctx, cancel := context.WithTimeout(ctx, renewInterval)
	defer cancel()
	if last := l.last; last != nil {
		err := l.update(ctx, client, last)
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	made, err := client.Create(ctx, l.renewed(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: l.owner.Name}}), metav1.CreateOptions{})
	if err == nil {
		l.last = made
	}
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, err := client.Get(ctx, l.owner.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return l.update(ctx, client, there)
}

// update renews a lease that is there, if it still is as the API server returned it.
func (l *nodeLease) update(ctx context.Context, client coordinationclient.LeaseInterface, lease *coordinationv1.Lease) error {
	l.last = nil
	updated, err := client.Update(ctx, l.renewed(lease), metav1.UpdateOptions{})
	if err == nil {
		l.last = updated
	}
	return err
}

// renewed is the lease, held by the executor from now on.
func (l *nodeLease) renewed(lease *coordinationv1.Lease) *coordinationv1.Lease {
	holder, seconds, now := manager, int32(leaseSeconds), metav1.NowMicro()
	lease = lease.DeepCopy()
	lease.OwnerReferences = []metav1.OwnerReference{l.owner} // it goes with the node
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &holder, &seconds, &now
	return lease
}

// answered is told how a renewal ended. When the API server refuses all for longer than a lease lasts, the nodes are
// lost, and failed is called, once in that time.
func (l *leases) answered(err error, now time.Time) {
	if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) {
		return // nobody has answered
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err):
		l.refused = time.Time{}
	case l.refused.IsZero():
		l.refused = now
	case now.Sub(l.refused) >= leaseSeconds*time.Second:
		l.refused = now
		l.failed(fmt.Errorf("the nodes are lost: the API server refuses to renew their leases: %w; if the executor has lost its "+
			"permissions, the next start of the apiserver gives it them again", err))
	}
}
