package apiserver

import (
	"context"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
)

// slowHooks are upstream's hooks that sleep for a second before their first request, so that the server is up by then
// (k8s.io/kubernetes/pkg/registry/rbac/rest, EnsureRBACPolicy; .../scheduling/rest, AddSystemPriorityClasses). The server is not
// ready before they have ended.
func slowHooks() map[string]genericapiserver.PostStartHookFunc {
	return map[string]genericapiserver.PostStartHookFunc{
		rbacrest.PostStartHookName:       rolesHook(),
		schedulingrest.PostStartHookName: schedulingrest.AddSystemPriorityClasses(),
	}
}

// earlyHooks are slowHooks that have been called already: they sleep while the server is being made, instead of after that.
type earlyHooks struct {
	serves chan struct{} // closed when the server is about to serve; no request is sent before
	hooks  map[string]genericapiserver.PostStartHookFunc
}

// startHooks calls those of the slowHooks that config does not disable, and disables them there, so that they are not called
// again. Their requests end with ctx.
func startHooks(ctx context.Context, config *genericapiserver.Config) *earlyHooks {
	early := &earlyHooks{serves: make(chan struct{}), hooks: map[string]genericapiserver.PostStartHookFunc{}}
	loopback := rest.CopyConfig(config.LoopbackClientConfig)
	loopback.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-early.serves:
				return next.RoundTrip(r)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
	})
	disabled := config.DisabledPostStartHooks.Clone() // the other servers of the chain share the set
	for name, hook := range slowHooks() {
		if disabled.Has(name) { // no RBAC, no roles
			continue
		}
		disabled.Insert(name)
		result := make(chan error, 1)
		go func() {
			result <- hook(genericapiserver.PostStartHookContext{LoopbackClientConfig: loopback, Context: ctx})
		}()
		early.hooks[name] = func(genericapiserver.PostStartHookContext) error { return <-result }
	}
	config.DisabledPostStartHooks = disabled
	return early
}

// addTo gives the hooks to the server at the head of the chain, under their names: it is ready when they have ended, and fails if
// they do.
func (early *earlyHooks) addTo(server *genericapiserver.GenericAPIServer) error {
	for name, hook := range early.hooks {
		if err := server.AddPostStartHook(name, hook); err != nil {
			return err
		}
	}
	return nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
