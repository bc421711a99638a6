package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	aggregatorserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// chain is the chain of servers of which the API server consists, for one start. To make it takes about a second, and
// no etcd: what it asks etcd waits until that answers.
type chain struct {
	cluster  *cluster.Cluster // nil if the server is alone
	plan     *supervisor.Plan // of the run, if there is one
	others   *companions      // nil if the server was not called with others
	rights   *rights
	log      *slog.Logger
	ctx      context.Context // the server's
	end      context.CancelFunc
	usable   chan struct{} // closed when it can be used
	requests *abandonable
	stores   []string // where etcd is
	loopback *rest.Config
	server   *aggregatorserver.APIAggregator
	prepared interface{ Run(context.Context) error }
	parts    []*bootstrap // what a start makes in the cluster
	roles    *bootstrap   // the part of them that is roles and bindings; nil without RBAC's API
	known    func() bool  // whether the authorizer knows all roles that a start makes; nil without RBAC
	own      inProcess    // how the server is asked without a connection
	releases []func()     // what is to be called at the end
	ran      bool         // it has destroyed itself then
}

// handlerChain makes what answers the requests of a server: api with all that is before it.
type handlerChain = func(api http.Handler, c *genericapiserver.Config) http.Handler

// newChain is one of a server that makes these rights. It does not end with ctx.
func newChain(ctx context.Context, r *rights, log *slog.Logger) *chain {
	c := &chain{rights: r, log: log, usable: make(chan struct{}), requests: newAbandonable()}
	c.ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	return c
}

func (c *chain) release() {
	c.end()
	c.requests.abandon()
	for _, release := range c.releases {
		release()
	}
	if !c.ran && c.server != nil {
		c.server.GenericAPIServer.Destroy()
	}
}

// build makes the chain for the next start. Upstream waits for etcd meanwhile, for 20 seconds if that does not answer,
// and cannot be interrupted (k8s.io/apiserver/pkg/storage/storagebackend/factory): a stop does not wait for that, but
// the next start does.
func (a *apiserver) build(ctx context.Context, s *supervisor.Server) error {
	select {
	case a.making <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c := newChain(ctx, rightsOf(a.cluster), s.Slog())
	c.cluster, c.plan, c.others = a.cluster, a.plan, a.companions
	release := func() {
		c.release()
		<-a.making
	}
	socket, err := s.Listener("secure-port")
	if err != nil {
		release()
		return err
	}
	made := make(chan error, 1)
	go func() {
		err := errors.New("the goroutine that makes it was ended")
		defer func() { made <- err }()
		err = s.Guard(func() error { return c.make(s, socket) })
	}()
	select {
	case err := <-made:
		a.next = c
		s.Cleanup(func() {
			a.next = nil // what it holds is not to stay
			release()
		})
		return explain(err, s)
	case <-ctx.Done():
		go func() {
			<-made
			release()
		}()
		return ctx.Err()
	}
}

// explain says where etcd does not answer. Upstream's errors wrap nothing, and tell by their text alone.
func explain(err error, s *supervisor.Server) error {
	if err == nil || !strings.Contains(err.Error(), "etcd grpc connection not ready") {
		return err
	}
	return fmt.Errorf("etcd does not answer at %s, where --apiserver.etcd-servers says that it is: %w",
		strings.Trim(s.Value("etcd-servers"), "[]"), err)
}

func (c *chain) make(s *supervisor.Server, socket net.Listener) error {
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	if socket != nil {
		l := newListener(socket)
		c.releases = append(c.releases, l.closeConns)
		o.SecureServing.Listener = l
	}
	o.Metrics = process.Metrics(o.Metrics)
	if c.others != nil {
		if err := c.others.trust(o.Authentication, c.plan); err != nil {
			return err
		}
	}
	completed, err := o.Complete(c.ctx)
	if err != nil {
		return err
	}
	return c.makeServer(completed)
}

// makeServer is app.Run until the server runs, which does not give access to the server.
func (c *chain) makeServer(completed options.CompletedOptions) (err error) {
	c.stores = completed.Etcd.StorageConfig.Transport.ServerList
	if completed.InformerName == nil {
		if completed.InformerName, err = process.InformerName(upstream); err != nil {
			return err
		}
		c.releases = append(c.releases, completed.InformerName.Release)
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return err
	}
	c.loopback = rest.CopyConfig(config.KubeAPIs.ControlPlane.Generic.LoopbackClientConfig)
	// All requests come in through the aggregator's chain.
	aggregator := &config.Aggregator.GenericConfig.Config
	aggregator.BuildHandlerChainFunc = ownAgent(c.loopback.BearerToken, aggregator.BuildHandlerChainFunc)
	if c.cluster != nil {
		aggregator.BuildHandlerChainFunc = componentAgents(aggregator.BuildHandlerChainFunc)
		gate := &gate{usable: c.usable, ctx: c.ctx, token: c.loopback.BearerToken}
		aggregator.BuildHandlerChainFunc = gate.wrap(aggregator.BuildHandlerChainFunc)
	}
	if c.others != nil {
		aggregator.BuildHandlerChainFunc = c.others.wrap(aggregator.BuildHandlerChainFunc, c.loopback.BearerToken)
	}
	aggregator.BuildHandlerChainFunc = c.requests.wrap(aggregator.BuildHandlerChainFunc)
	if l, ok := completed.SecureServing.Listener.(*listener); ok {
		aggregator.BuildHandlerChainFunc = l.wrap(aggregator.BuildHandlerChainFunc)
	}
	c.roles, c.parts = newBootstraps(config.KubeAPIs.ControlPlane.Generic, c.rights, c.log,
		config.KubeAPIs.ControlPlane.APIResourceConfigSource.AnyResourceForGroupEnabled)
	if c.roles != nil && c.roles.name == rbacrest.PostStartHookName {
		c.known = c.rights.rolesSeen(config.KubeAPIs.ControlPlane.VersionedInformers.Rbac().V1())
	}
	if completed.EndpointReconcilerType == string(reconcilers.NoneEndpointReconcilerType) {
		config.KubeAPIs.Extra.EndpointReconcilerConfig.Reconciler = &noEndpoints{EndpointReconciler: reconcilers.NewNoneEndpointReconciler()}
	}
	if inner := config.KubeAPIs.ControlPlane.PeerEndpointLeaseReconciler; inner != nil {
		config.KubeAPIs.ControlPlane.PeerEndpointLeaseReconciler = &peerLeases{inner, c.requests}
	}
	completedConfig, err := config.Complete()
	if err != nil {
		return err
	}
	reconciler := &completedConfig.KubeAPIs.Extra.EndpointReconcilerConfig.Reconciler
	*reconciler = &endpoints{*reconciler, c.requests}
	generic := completedConfig.KubeAPIs.ControlPlane.Generic.Config
	v2, v3 := generic.OpenAPIConfig, generic.OpenAPIV3Config
	generic.OpenAPIConfig = nil // with it upstream makes the document now
	generic.SkipOpenAPIInstallation = true
	if c.server, err = app.CreateServerChain(completedConfig); err != nil {
		return err
	}
	kube, ok := c.server.GenericAPIServer.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return errors.New("behind the aggregator is not the API server: this version of Kubernetes does not fit km; report it")
	}
	if v2 != nil {
		serveOpenAPI(v2, kube.Handler.GoRestfulContainer, kube.Handler.NonGoRestfulMux)
	}
	if v3 != nil {
		if err := serveOpenAPIV3(v3, kube.Handler.GoRestfulContainer, kube.Handler.NonGoRestfulMux); err != nil {
			return err
		}
	}
	head := c.server.GenericAPIServer
	c.own = inProcess{handler: head.Handler, token: c.loopback.BearerToken}
	for _, b := range c.parts {
		if err := head.AddPostStartHook(b.name, b.hook(c.ctx)); err != nil {
			return err
		}
	}
	if c.roles != nil && c.cluster != nil {
		if err := head.AddPostStartHook(identitiesHook, c.awaitIdentities); err != nil {
			return err
		}
	}
	c.prepared, err = c.server.PrepareRun()
	forgetBuilders(generic, &config.ApiExtensions.GenericConfig.Config, aggregator)
	return err
}

func (a *apiserver) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	c := a.next
	defer a.started.Put(c.usable)()
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go func() {
		_ = s.Guard(func() error { // it has logged a panic
			a.cluster.Renew(beside, a.plan, s.Logger())
			return nil
		})
	}()
	return c.run(ctx, s.Ending(), func(client kubernetes.Interface) { c.tellUnreadable(beside, client, s) })
}

// run runs the server until ctx ends, of which ending may tell before, and calls beside as soon as it can be asked.
func (c *chain) run(ctx context.Context, ending <-chan struct{}, beside func(kubernetes.Interface)) error {
	c.ran = true
	defer c.endWith(ctx)()
	client, err := kubernetes.NewForConfig(clientOf(&c.own))
	if err != nil {
		return err
	}
	// What a start makes in the cluster. What is refused is told of, once the server can be used.
	for _, b := range c.parts {
		go b.make(c.ctx, client, c.log)
		go c.tellLater(b)
	}
	go func() {
		if err := waitUsable(c.ctx, c.log, client); err == nil {
			close(c.usable)
		}
	}()
	go beside(client)
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go c.abandonWithoutStore(running, ending, client)
	return c.prepared.Run(c.ctx)
}

// startTime is how long a start may take before a stop interrupts it.
const startTime = 10 * time.Second

// endWith has the server end with ctx, but not before it is usable: a start that is interrupted leaves requests of the
// server to itself, and hooks, waiting for each other, and the stop takes up to a minute, where finishing the start
// takes a second or two.
func (c *chain) endWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		select {
		case <-c.usable:
		case <-time.After(startTime):
		case <-c.requests.ctx.Done():
		case <-c.ctx.Done():
		}
		c.end()
	})
}
