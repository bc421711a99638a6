package apiserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kubernetes/pkg/kubeapiserver/authorizer/modes"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"

	"github.com/seed-200a7251/km/servers/cluster"
)

// earlyHooks are those of upstream's hooks that sleep for a second before their first request, so that the server is up
// by then (k8s.io/kubernetes/pkg/registry/rbac/rest, EnsureRBACPolicy; .../scheduling/rest, AddSystemPriorityClasses),
// and for which the server is not ready before they have ended. Here they sleep while it is being made. Where what they
// write is refused by what users have put in their way, the server is ready without them, or nobody could remove that.
type earlyHooks struct {
	ctx     context.Context // with which their requests end
	results map[string]chan error
	server  inProcess     // to be read when open is closed
	open    chan struct{} // closed when the server takes their requests
	refused chan struct{} // closed when one of their requests has been refused by what users have put in its way

	refuse  sync.Once
	refusal error // of the first one; to be read when refused is closed
}

// startHooks starts those that are called in any case. Of what is in a file that describes authorizers, nothing is
// known yet.
func startHooks(ctx context.Context, authorizers []string) *earlyHooks {
	early := &earlyHooks{ctx: ctx, results: map[string]chan error{}, open: make(chan struct{}), refused: make(chan struct{})}
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
		for { // each begins with a pause of a second
			err := hook(genericapiserver.PostStartHookContext{LoopbackClientConfig: clientOf(early), Context: early.ctx})
			if err == nil || early.ctx.Err() != nil {
				result <- err
				return
			}
		}
	}()
}

// isRefused reports whether one of their requests has been refused.
func (early *earlyHooks) isRefused() bool {
	select {
	case <-early.refused:
		return true
	default:
		return false
	}
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

// hooked is a *genericapiserver.GenericAPIServer.
type hooked interface {
	AddPostStartHook(name string, hook genericapiserver.PostStartHookFunc) error
}

// addTo gives the hooks to the server at the head of the chain, under their names: it is ready when they have ended, or
// are refused, and fails if they do. Those that are refused go on; later is called with why, and what is closed when
// they have ended. The token is the one by which the server knows its own requests.
func (early *earlyHooks) addTo(server hooked, handler http.Handler, token string,
	later func(what string, err error, done <-chan error)) error {
	early.server = inProcess{handler: handler, token: token}
	for name, result := range early.results {
		hook := func(genericapiserver.PostStartHookContext) error {
			err := early.await(result, func() { later(name, early.refusal, result) })
			if early.ctx.Err() != nil {
				return nil // with an error upstream would end the process, in the middle of a stop
			}
			return err
		}
		if err := server.AddPostStartHook(name, hook); err != nil {
			return err
		}
	}
	return nil
}

// await waits for a hook, and returns how it has ended. It calls later instead if one is refused.
func (early *earlyHooks) await(result <-chan error, later func()) error {
	select {
	case err := <-result:
		return err
	case <-early.refused:
	}
	select {
	case err := <-result:
		return err
	default: // it may be another one that is refused; that this one needs a moment more is no harm
		later()
		return nil
	}
}

// serve is called when the server takes requests. What can be made before the hooks wake up is made, and then their
// requests come through.
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
		answer, err := early.server.RoundTrip(r)
		if err == nil && r.Method != http.MethodGet && answer.StatusCode >= http.StatusBadRequest {
			err = early.look(answer)
		}
		return answer, err
	case <-early.ctx.Done():
		return nil, early.ctx.Err()
	}
}

// look looks whether a request has been refused by what users have put in its way.
func (early *earlyHooks) look(answer *http.Response) error {
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	object, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), text)
	if err != nil {
		return nil // it says nothing that is known
	}
	if refusal := apierrors.FromObject(object); cluster.Refused(refusal) {
		early.refuse.Do(func() {
			early.refusal = refusal
			close(early.refused)
		})
	}
	return nil
}
