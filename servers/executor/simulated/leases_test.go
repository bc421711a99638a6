package simulated

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

var leaseResource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

// testLeases are leases with a cluster, and a clock of their own.
type testLeases struct {
	*leases
	t      *testing.T
	refuse atomic.Pointer[func() error] // how the cluster refuses changes of leases, or nil
	failed atomic.Int64                 // how often the executor has failed
	errors atomic.Int64                 // how often it has logged one
}

// runLeases runs f in a bubble with leases that are renewed.
func runLeases(t *testing.T, f func(l *testLeases)) {
	synctest.Test(t, func(t *testing.T) {
		l, client := &testLeases{t: t}, fake.NewClientset()
		client.PrependReactor("*", leaseResource.Resource, func(a k8stesting.Action) (bool, runtime.Object, error) {
			refuse := l.refuse.Load()
			if refuse == nil || a.GetVerb() == "get" {
				return false, nil, nil
			}
			err := (*refuse)()
			return err != nil, nil, err
		})
		ctx, cancel := context.WithCancel(t.Context())
		l.leases = newLeases(ctx, client, slog.New(counter{slog.DiscardHandler, &l.errors}), func(error) { l.failed.Add(1) })
		var workers errgroup.Group
		for range 4 {
			workers.Go(func() error { return l.work(ctx) })
		}
		defer workers.Wait()
		defer cancel()
		f(l)
	})
}

// counter counts errors.
type counter struct {
	slog.Handler
	n *atomic.Int64
}

func (counter) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (c counter) Handle(context.Context, slog.Record) error {
	c.n.Add(1)
	return nil
}

// quiet tests that no error has been logged: what others do to leases is none.
func (l *testLeases) quiet() {
	l.t.Helper()
	if n := l.errors.Load(); n != 0 {
		l.t.Errorf("%d errors are logged", n)
	}
}

func played(name, uid string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid), Annotations: map[string]string{fakeAnnotation: "fake"}}}
}

// renewed waits for that long, and tests who holds a node's lease, for whom, and how long ago it was renewed: at the
// most that long, or not at all.
func (l *testLeases) renewed(after time.Duration, node, uid string, ago time.Duration) {
	l.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	lease, err := l.leases.client.Get(l.t.Context(), node, metav1.GetOptions{})
	if ago == 0 {
		if !apierrors.IsNotFound(err) && !(err == nil && time.Since(lease.Spec.RenewTime.Time) >= leaseSeconds*time.Second) {
			l.t.Errorf("the lease of %s is renewed: %v (%v)", node, lease, err)
		}
		return
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	if *lease.Spec.HolderIdentity != manager || *lease.Spec.LeaseDurationSeconds != leaseSeconds ||
		len(lease.OwnerReferences) != 1 || lease.OwnerReferences[0].UID != types.UID(uid) || time.Since(lease.Spec.RenewTime.Time) > ago {
		l.t.Errorf("after %v, the lease of %s is %v of %v", time.Since(lease.Spec.RenewTime.Time), node, lease.Spec, lease.OwnerReferences)
	}
}

// deny has the cluster refuse to change leases with err, until the function returned is called.
func (l *testLeases) deny(err error) (end func()) {
	l.refuse.Store(new(func() error { return err }))
	return func() { l.refuse.Store(nil) }
}

const often = renewInterval * 105 / 100

// The leases of nodes that are played are made, renewed and made again, and no others.
func TestLeases(t *testing.T) {
	runLeases(t, func(l *testLeases) {
		for _, uid := range []string{"1", "1", "2"} { // made, changed, and made anew meanwhile
			l.changed(played("node", uid))
			l.changed(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}})
			for range 5 {
				l.renewed(leaseSeconds*time.Second/2, "node", uid, often)
			}
		}
		l.changed(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "others", Annotations: map[string]string{fakeAnnotation: "yes"}}})
		l.renewed(0, "real", "", 0)
		l.renewed(0, "others", "", 0)
		if err := l.leases.client.Delete(t.Context(), "node", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		l.renewed(often, "node", "2", often)
		l.deleted(played("node", "2"))
		l.renewed(leaseSeconds*time.Second+often, "node", "", 0)
		l.changed(played("node", "3"))
		l.renewed(0, "node", "3", often)
		l.changed(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: "3"}}) // from now on, nobody plays it
		l.renewed(leaseSeconds*time.Second+often, "node", "", 0)
		l.quiet()
	})
}

// A lease that is there is taken over, and so is one that somebody else changes meanwhile.
func TestLeasesOfOthers(t *testing.T) {
	runLeases(t, func(l *testLeases) {
		holder, now := "somebody", metav1.NowMicro()
		other := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now}}
		if _, err := l.leases.client.Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		l.changed(played("node", "1"))
		l.renewed(0, "node", "1", often)
		var once sync.Once
		l.refuse.Store(new(func() (err error) {
			once.Do(func() { err = apierrors.NewConflict(leaseResource, "node", errors.New("it has been changed")) })
			return err
		}))
		for range 5 {
			l.renewed(leaseSeconds*time.Second/2, "node", "1", often)
		}
		l.quiet()
	})
}

// What does not answer for a while is asked again, and soon.
func TestLeasesAgain(t *testing.T) {
	runLeases(t, func(l *testLeases) {
		end := l.deny(errors.New("connection refused"))
		l.changed(played("node", "1"))
		l.renewed(2*time.Minute, "node", "1", 0)
		end()
		l.renewed(often, "node", "1", often)
		end = l.deny(apierrors.NewTooManyRequests("", 1))
		l.renewed(renewInterval*3/2, "node", "1", renewInterval*5/2)
		end()
		l.renewed(2*renewInterval, "node", "1", often)
		if n := l.failed.Load(); n != 0 {
			t.Errorf("it has failed %d times", n)
		}
	})
}

// The executor fails when its leases are refused for longer than one lasts, once in that time, and not before.
func TestLeasesRefused(t *testing.T) {
	runLeases(t, func(l *testLeases) {
		for _, name := range []string{"one", "two", "three"} {
			l.changed(played(name, "1"))
		}
		forbidden := apierrors.NewForbidden(leaseResource, "node", errors.New("it may not"))
		end := l.deny(forbidden)
		after := func(seconds time.Duration, want int64) {
			t.Helper()
			time.Sleep(seconds * time.Second)
			synctest.Wait()
			if n := l.failed.Load(); n != want {
				t.Errorf("it has failed %d times, want %d", n, want)
			}
		}
		after(30, 0)
		end()
		after(20, 0)
		l.deny(forbidden)
		after(30, 0)
		after(45, 1)
		after(40, 2)
	})
}
