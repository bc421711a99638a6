package apiserver

import (
	"context"
	"net/http"
	"slices"

	"go.uber.org/zap"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/pkg/kubeapiserver/authorizer/modes"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
)

// earlyHooks are those of upstream's hooks that sleep for a second before their first request, so that the server is up by then
// (k8s.io/kubernetes/pkg/registry/rbac/rest, EnsureRBACPolicy; .../scheduling/rest, AddSystemPriorityClasses), and for which the
// server is not ready before they have ended. Here they sleep while it is being made.
type earlyHooks struct {
	ctx     context.Context // with which their requests end
	results map[string]chan error
	server  inProcess     // to be read when open is closed
	open    chan struct{} // closed when the server takes their requests
}

// startHooks starts those that are called in any case. Of what is in a file that describes authorizers, nothing is known yet.
func startHooks(ctx context.Context, authorizers []string) *earlyHooks {
	early := &earlyHooks{ctx: ctx, results: map[string]chan error{}, open: make(chan struct{})}
	early.start(schedulingrest.PostStartHookName, schedulingrest.AddSystemPriorityClasses())
	if slices.Contains(authorizers, modes.ModeRBAC) {
		early.start(rbacrest.PostStartHookName, rolesHook())
	}
	return early
}

func (early *earlyHooks) start(name string, hook genericapiserver.PostStartHookFunc) {
	result := make(chan error, 1)
	early.results[name] = result
	go func() {
		result <- hook(genericapiserver.PostStartHookContext{LoopbackClientConfig: clientOf(early), Context: early.ctx})
	}()
}

// takeFrom has a server that is made from config leave the hooks out, and starts those that only config tells of.
func (early *earlyHooks) takeFrom(config *genericapiserver.Config) {
	disabled := config.DisabledPostStartHooks.Clone() // the other servers of the chain share the set
	if !early.has(rbacrest.PostStartHookName) && !disabled.Has(rbacrest.PostStartHookName) {
		early.start(rbacrest.PostStartHookName, rolesHook())
	}
	for name := range early.results {
		disabled.Insert(name)
	}
	config.DisabledPostStartHooks = disabled
}

func (early *earlyHooks) has(name string) bool { return early.results[name] != nil }

// addTo gives the hooks to the server at the head of the chain, under their names: it is ready when they have ended, and fails if
// they do. The token is the one by which it knows its own requests.
func (early *earlyHooks) addTo(server *genericapiserver.GenericAPIServer, token string) error {
	early.server = inProcess{handler: server.Handler, token: token}
	for name, result := range early.results {
		hook := func(genericapiserver.PostStartHookContext) error { return <-result }
		if err := server.AddPostStartHook(name, hook); err != nil {
			return err
		}
	}
	return nil
}

// serve is called when the server takes requests. What can be made before the hooks wake up is made, and then their requests come
// through.
func (early *earlyHooks) serve(log *zap.Logger) {
	defer close(early.open)
	if !early.has(rbacrest.PostStartHookName) {
		return
	}
	ctx, cancel := context.WithTimeout(early.ctx, startTime)
	defer cancel()
	if err := makeRoles(ctx, clientOf(&early.server)); err != nil && early.ctx.Err() == nil {
		log.Info("the roles of Kubernetes are made later", zap.Error(err))
	}
}

// RoundTrip sends a hook's request to the server, when it takes them.
func (early *earlyHooks) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-early.open:
		return early.server.RoundTrip(r)
	case <-early.ctx.Done():
		return nil, early.ctx.Err()
	}
}
