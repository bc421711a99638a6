// Package controllermanager is the kube-controller-manager.
package controllermanager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/configz"
	"k8s.io/component-base/metrics/legacyregistry"
	cmapp "k8s.io/controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/config"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/names"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/pkg/controller/replicaset/metrics"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// upstream is the name of the component's own binary.
const upstream = "kube-controller-manager"

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	m := &controllerManager{cluster: c}
	state := c.Identify(names.ControllerManager, cluster.Identity{User: kubeadmconstants.ControllerManagerUser, Serves: true})
	return &supervisor.Server{
		SimpleUsage: names.ControllerManager,
		Aliases:     []string{upstream},
		Long: "The controllers that bring the cluster to the state that its objects describe: deployments, service accounts, " +
			"namespaces, garbage collection and many more.",
		AddFlags:      addFlags,
		ProcessFlags:  component.ProcessFlags,
		VerbosityFlag: "v",
		VModuleFlag:   "vmodule",
		LevelWarning:  component.LevelWarning,
		FlagValues:    component.FlagValues(nil),
		Packages:      []string{"k8s.io/controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", "k8s.io/kubernetes/pkg/controller"},
		Needs:         []supervisor.Need{{Server: names.APIServer, Unless: []string{"kubeconfig", "master"}}},
		State:         append(state, "kubelet/volume-plugins"),
		Defaults:      defaults,
		Check:         check,
		Ports:         cluster.Ports,
		Prepare:       m.prepare,
		Build:         m.build,
		Run:           m.run,
		Ready:         ready,
		Address:       cluster.HTTPS,
		Main:          component.Main(upstream, app.NewControllerManagerCommand),
	}
}

func addFlags(s *supervisor.Server) {
	component.AddFlags(s, flagSets(newDefaultOptions()))
	component.AddHardened(s)
}

type controllerManager struct {
	cluster *cluster.Cluster
	next    *config.CompletedConfig // made by build, for run
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if err := errors.Join(cluster.ClientDefaults(p, s), component.HardenServing(s)); err != nil || !p.Selected(names.APIServer) {
		return err
	}
	pki := func(file string) string { return cluster.PKIPath(p, file) }
	if cluster.Signs(p) {
		if err := signing(s, pki("ca.crt"), pki("ca.key")); err != nil {
			return err
		}
	}
	if cluster.IsAdvertised(p) {
		// Tokens that have expired are refused, but would stay.
		if err := s.Default("controllers", "*,"+controllers.TokenCleanerController); err != nil {
			return err
		}
	}
	return s.Default(
		"root-ca-file", pki("ca.crt"),
		"service-account-private-key-file", pki("sa.key"),
		// It makes the folder where plugins for volumes would be; upstream's is in /usr.
		"flex-volume-plugin-dir", pluginDir(p),
		// Each controller gets a service account with its own rights.
		"use-service-account-credentials", "true",
		// Upstream's limit of 20 requests a second is to protect a shared API server. With it the first service account
		// is there after eight seconds, and no pod can be created before.
		"kube-api-qps", "500",
		"kube-api-burst", "1000",
	)
}

func pluginDir(p *supervisor.Plan) string { return p.Path("kubelet", "volume-plugins") }

func (m *controllerManager) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if s.Value("flex-volume-plugin-dir") == pluginDir(p) {
		// Upstream would make it readable for all.
		if err := os.MkdirAll(pluginDir(p), 0o700); err != nil {
			return err
		}
	}
	return m.cluster.PrepareClient(ctx, p, s)
}

// signing lets the cluster's CA sign certificate requests, of the kinds for which the user names no other one.
func signing(s *supervisor.Server, cert, key string) error {
	if s.Given("cluster-signing-cert-file") || s.Given("cluster-signing-key-file") {
		return nil // upstream refuses the others beside these
	}
	for _, kind := range []string{"kubelet-serving", "kubelet-client", "kube-apiserver-client", "legacy-unknown"} {
		certFlag, keyFlag := "cluster-signing-"+kind+"-cert-file", "cluster-signing-"+kind+"-key-file"
		if s.Given(certFlag) || s.Given(keyFlag) {
			continue
		}
		if err := s.Default(certFlag, cert, keyFlag, key); err != nil {
			return err
		}
	}
	return nil
}

func newDefaultOptions() *options.KubeControllerManagerOptions {
	o, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		panic(err) // upstream's defaults do not fit upstream's types
	}
	return o
}

// flagSets are the options' flags: one function, since the three lists go together.
func flagSets(o *options.KubeControllerManagerOptions) cliflag.NamedFlagSets {
	return o.Flags(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
}

// newOptions returns options for one start.
func newOptions(s *supervisor.Server) (*options.KubeControllerManagerOptions, error) {
	o := newDefaultOptions()
	flags := flagSets(o)
	o.ParsedFlags = &flags // for /flagz
	return o, component.ReplayTo(flags, s)
}

func check(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) error {
	if err := component.RefuseLogFlags(s, component.LogFlags...); err != nil {
		return err
	}
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	if err := o.Validate(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()); err != nil {
		return fmt.Errorf("controller-manager: %w; see `%s`", err, s.Command("help", names.ControllerManager))
	}
	return cluster.CheckKubeconfig(s)
}

func (m *controllerManager) build(ctx context.Context, s *supervisor.Server) error {
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	if o.SecureServing.Listener, err = s.Listener("secure-port"); err != nil {
		return err
	}
	o.Metrics = process.Metrics(o.Metrics)
	config, err := o.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return err
	}
	m.next = config.Complete()
	s.Cleanup(func() { m.next = nil }) // what it holds is not to stay when it has ended
	return nil
}

func (m *controllerManager) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	config := m.next
	if s.Value("use-service-account-credentials") == "true" {
		if err := m.prepareAccounts(ctx, s, config.Kubeconfig); err != nil {
			return err
		}
	}
	registered, err := process.Turn(ctx, upstream)
	if err != nil {
		return err
	}
	defer registered()
	takeNames()
	plain := rest.CopyConfig(config.Kubeconfig)
	config.Kubeconfig.Wrap(func(next http.RoundTripper) http.RoundTripper { return &watcher{next, registered} })
	err = app.Run(ctx, config)
	if election := config.ComponentConfig.Generic.LeaderElection; election.LeaderElect && ctx.Err() != nil {
		if err := release(ctx, plain, election); err != nil {
			s.Logger().Info("others wait for the lease to end", zap.Error(err))
		}
	}
	return err
}

// takeNames gives back what upstream registers for the process: left there by an earlier start, or by another cluster,
// this one fails. What stands in /configz and in the metrics is the last one's.
func takeNames() {
	configz.Delete(app.ConfigzName)
	unregister()
	releaseName()
}

// watcher sees the first request of the informers, after which upstream registers nothing more (app.Run,
// CreateControllerContext, BuildControllers), or of the election of a leader: who does not lead may never come that
// far.
type watcher struct {
	next       http.RoundTripper
	registered func()
}

func (w *watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	agent := r.UserAgent()
	if strings.HasSuffix(agent, "/shared-informers") && r.URL.Path != "/healthz" || strings.HasSuffix(agent, "/leader-election") {
		w.registered()
	}
	return w.next.RoundTrip(r)
}

// WrappedRoundTripper is for those who look for what is below (k8s.io/apimachinery/pkg/util/net).
func (w *watcher) WrappedRoundTripper() http.RoundTripper { return w.next }

// unregister takes the metrics of replica sets out of the process's registry: upstream complains where the next start
// finds them there (pkg/controller/replicaset/replica_set.go). All others are registered in a way that may be repeated.
func unregister() {
	for _, m := range []interface {
		prometheus.Collector
		IsCreated() bool
	}{metrics.SortingDeletionAgeRatio, metrics.ReplicaSetRequeueSkips} {
		if m.IsCreated() { // it has come that far
			legacyregistry.Registerer().Unregister(m)
		}
	}
}

// releaseName gives back the name of the informers, which upstream gives no other way to choose
// (CreateControllerContext in cmd/kube-controller-manager/app). Where somebody has it, only all names of the process
// can be given back together; informers that use theirs are missing from /metrics then, until their server starts
// again.
func releaseName() {
	name, err := cache.NewInformerName(upstream)
	if err != nil {
		cache.ResetInformerNamesForTesting()
		return
	}
	name.Release()
}

// ready waits for what users wait for: the service account "default" in the namespace "default", without which no pod
// can be created there. The component's /healthz says ok long before; but the account may be there from an earlier run.
func ready(ctx context.Context, s *supervisor.Server) error {
	if err := healthy(ctx, s); err != nil || !makesServiceAccounts(s) {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags(s.Value("master"), s.Value("kubeconfig"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", "default").String()}
	for told := false; ctx.Err() == nil; {
		// A watch without a version begins with what is there already.
		w, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Watch(ctx, only)
		if err == nil {
			if seen(w) {
				return nil
			}
			continue
		}
		if !told {
			s.Logger().Warn("waiting for the service account \"default\"", zap.Error(err))
			told = true
		}
		// Its rights, or the server elsewhere, may not be there yet.
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// readyPoll is how often something is asked again that is not there yet.
const readyPoll = 50 * time.Millisecond

// healthy waits for the component's own /healthz, which answers everybody.
func healthy(ctx context.Context, s *supervisor.Server) error {
	if s.Value("secure-port") == "0" {
		return nil // it does not listen
	}
	return component.AwaitHealth(ctx, cluster.HTTPS(s)+"/healthz", func(code int, _ string) bool { return code == http.StatusOK })
}

// makesServiceAccounts reports whether the controller is on that makes them.
func makesServiceAccounts(s *supervisor.Server) bool {
	chosen, err := s.Flags().GetStringSlice("controllers")
	if err != nil {
		return true
	}
	for i, name := range chosen {
		bare := strings.TrimPrefix(name, "-")
		if canonical, ok := app.ControllerAliases()[bare]; ok {
			chosen[i] = strings.TrimSuffix(name, bare) + canonical
		}
	}
	return cmapp.IsControllerEnabled(controllers.ServiceAccountController, sets.NewString(app.ControllersDisabledByDefault()...), chosen)
}

// seen reports whether the watch shows that the object exists, before it ends.
func seen(w watch.Interface) bool {
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Added || e.Type == watch.Modified {
			return true
		}
	}
	return false
}
