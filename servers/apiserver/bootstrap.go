package apiserver

import (
	"context"
	"log/slog"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	schedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"

	"github.com/seed-200a7251/km/servers/cluster"
)

// bootstrap is one part of what a start makes in the cluster if it is not there yet. Hooks of the server wait for it,
// and with them its /readyz.
//
// Two parts have upstream's names and results, and come in place of upstream's hooks: these begin with a pause of a
// second, in which most starts are over, and ask for each object by itself
// (k8s.io/kubernetes/pkg/registry/rbac/rest, EnsureRBACPolicy; .../scheduling/rest, AddSystemPriorityClasses).
//
// Where what it writes is refused by what users have put in its way, such as a webhook that nothing serves any more,
// the server is ready without it, or nobody could remove that; and it is tried on. Where it is slow, the server is not
// ready: it would refuse its own clients.
type bootstrap struct {
	name    string // of the hook
	ensure  func(context.Context, kubernetes.Interface) error
	done    chan struct{} // closed when it is there
	refused chan struct{} // closed when it has been refused
	refusal error         // the first one; to be read when refused is closed
}

func newBootstrap(name string, ensure func(context.Context, kubernetes.Interface) error) *bootstrap {
	return &bootstrap{name: name, ensure: ensure, done: make(chan struct{}), refused: make(chan struct{})}
}

// make makes it, as soon as the server takes requests. Upstream gives up after 30 seconds, and ends the process.
func (b *bootstrap) make(ctx context.Context, client kubernetes.Interface, log *slog.Logger) {
	pause, told := readyPoll, ""
	for {
		err := b.ensure(ctx, client)
		switch {
		case err == nil:
			close(b.done)
			return
		case ctx.Err() != nil:
			return
		case cluster.Refused(err) && !isClosed(b.refused):
			b.refusal = err
			close(b.refused)
			pause = laterPoll
		}
		if text := err.Error(); text != told {
			log.Info("it is tried again to make "+b.name, "error", err)
			told = text
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// await waits for it, as long as the server is not being stopped.
func (b *bootstrap) await(ctx context.Context) {
	select {
	case <-b.done:
	case <-b.refused:
	case <-ctx.Done():
	}
}

// hook is a hook that does so. An error would end the process.
func (b *bootstrap) hook(ctx context.Context) genericapiserver.PostStartHookFunc {
	return func(genericapiserver.PostStartHookContext) error {
		b.await(ctx)
		return nil
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// newBootstraps has a server that is made from config leave upstream's hooks out, and returns what comes in their
// place: for the APIs that it serves, and the authorizers that it has.
func newBootstraps(config *genericapiserver.Config, r *rights, log *slog.Logger, served func(group string) bool) (
	roles *bootstrap, all []*bootstrap) {
	disabled := config.DisabledPostStartHooks.Clone() // the other servers of the chain share the set
	config.DisabledPostStartHooks = disabled
	if served(schedulingv1.GroupName) && !disabled.Has(schedulingrest.PostStartHookName) {
		disabled.Insert(schedulingrest.PostStartHookName)
		all = append(all, newBootstrap(schedulingrest.PostStartHookName, ensurePriorityClasses))
	}
	if !served(rbacv1.GroupName) || r.isEmpty() && disabled.Has(rbacrest.PostStartHookName) {
		return nil, all
	}
	name := "km/bootstrap-roles" // without an authorizer that asks them, upstream makes none
	if !disabled.Has(rbacrest.PostStartHookName) {
		disabled.Insert(rbacrest.PostStartHookName)
		name = rbacrest.PostStartHookName
		r.addKubernetes()
	}
	roles = newBootstrap(name, func(ctx context.Context, client kubernetes.Interface) error { return r.ensure(ctx, client, log) })
	return roles, append(all, roles)
}

// ensurePriorityClasses makes those of Kubernetes.
func ensurePriorityClasses(ctx context.Context, client kubernetes.Interface) error {
	classes := client.SchedulingV1().PriorityClasses()
	for _, class := range schedulingv1.SystemPriorityClasses() {
		_, err := classes.Get(ctx, class.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = classes.Create(ctx, class, metav1.CreateOptions{})
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}
