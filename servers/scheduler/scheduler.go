// Package scheduler is the kube-scheduler.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/component-base/configz"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedulerconfig "k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	upstreamscheduler "k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// upstream is the name of the component's own binary.
const upstream = "kube-scheduler"

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	sched := &scheduler{cluster: c, started: supervisor.NewHandoff[*running]()}
	state := c.Identify(names.Scheduler, cluster.Identity{User: kubeadmconstants.SchedulerUser, Serves: true})
	return &supervisor.Server{
		SimpleUsage:   names.Scheduler,
		Aliases:       []string{upstream},
		Long:          "The scheduler: finds a node for each pod.",
		AddFlags:      addFlags,
		ProcessFlags:  component.ProcessFlags,
		VerbosityFlag: "v",
		VModuleFlag:   "vmodule",
		LevelWarning:  component.LevelWarning,
		FlagValues:    component.FlagValues(nil),
		Packages:      []string{"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/pkg/scheduler"},
		Needs:         []supervisor.Need{{Server: names.APIServer, Unless: []string{"kubeconfig", "master"}}},
		State:         append(state, cluster.Written(configFile)...),
		Defaults:      defaults,
		Check:         check,
		Ports:         cluster.Ports,
		Prepare:       sched.prepare,
		Run:           sched.run,
		Ready:         sched.ready,
		Address:       cluster.HTTPS,
		Main:          component.Main(upstream, func() *cobra.Command { return app.NewSchedulerCommand() }),
	}
}

func addFlags(s *supervisor.Server) {
	component.AddFlags(s, *options.NewOptions().Flags)
	component.AddHardened(s)
}

// configFile is the file in the data folder with what completeConfig makes.
const configFile = names.Scheduler + ".yaml"

type scheduler struct {
	cluster *cluster.Cluster
	plan    *supervisor.Plan
	started supervisor.Handoff[*running]
}

// running is what readiness is seen by.
type running struct {
	config    *schedulerconfig.CompletedConfig
	scheduler *upstreamscheduler.Scheduler
	standby   chan struct{} // closed when another one leads
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if err := errors.Join(cluster.ClientDefaults(p, s), component.HardenServing(s)); err != nil {
		return err
	}
	// Upstream's is to note each wait of each goroutine, which here are those of all servers.
	if err := s.Default("contention-profiling", "false"); err != nil || !p.Selected(names.APIServer) {
		return err
	}
	// Upstream's limit of 50 requests a second is to protect a shared API server. With it no more pods than that find a
	// node.
	return s.Default("kube-api-qps", "500", "kube-api-burst", "1000")
}

// newOptions returns options for one start.
func newOptions(s *supervisor.Server) (*options.Options, error) {
	o := options.NewOptions()
	return o, component.ReplayTo(*o.Flags, s)
}

func check(ctx context.Context, _ *supervisor.Plan, s *supervisor.Server) error {
	if err := component.RefuseLogFlags(s, component.LogFlags...); err != nil {
		return err
	}
	if err := component.RefuseEnding(s, names.Scheduler, "write-config-to"); err != nil {
		return err
	}
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	// As app.Setup does: Validate looks at the component's configuration, which is upstream's default plus flags.
	if o.ComponentConfig, err = latest.Default(); err != nil {
		return err
	}
	if errs := o.Validate(); len(errs) > 0 {
		return fmt.Errorf("scheduler: %w; see `%s`", utilerrors.NewAggregate(errs), s.Command("help", names.Scheduler))
	}
	if o.ConfigFile != "" {
		if _, err := options.LoadConfigFromFile(klog.FromContext(ctx), o.ConfigFile); err != nil {
			return fmt.Errorf("scheduler: --scheduler.config=%s: %w", o.ConfigFile, err)
		}
		return nil
	}
	return cluster.CheckKubeconfig(s)
}

func (sched *scheduler) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	sched.plan = p
	return sched.cluster.PrepareClient(ctx, p, s)
}

func (sched *scheduler) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	if o.SecureServing.Listener, err = s.Listener("secure-port"); err != nil {
		return err
	}
	if o.InformerName, err = process.InformerName(upstream); err != nil {
		return err
	}
	defer o.InformerName.Release()
	if err := sched.completeConfig(o); err != nil {
		return err
	}
	o.Metrics = process.Metrics(o.Metrics)
	config, scheduler, err := app.Setup(ctx, o)
	if err != nil {
		return err
	}
	r := &running{config, scheduler, make(chan struct{})}
	defer sched.started.Put(r)()
	if config.LeaderElection == nil {
		return r.run(ctx)
	}
	return r.lead(ctx)
}

// run runs the scheduler until ctx ends. Its configuration is registered for the process: that of the last start
// counts.
func (r *running) run(ctx context.Context) error {
	registered, err := process.Turn(ctx, upstream)
	if err != nil {
		return err
	}
	defer registered()
	configz.Delete("componentconfig")
	r.config.EventBroadcaster = &broadcaster{r.config.EventBroadcaster, registered}
	return app.Run(ctx, r.config, r.scheduler)
}

// broadcaster is what upstream starts next when it has registered its configuration (app.Run).
type broadcaster struct {
	events.EventBroadcasterAdapter
	registered func()
}

func (b *broadcaster) StartRecordingToSink(stop <-chan struct{}) {
	b.registered()
	b.EventBroadcasterAdapter.StartRecordingToSink(stop)
}

// completeConfig gives a configuration file that names no cluster the one that km runs: most such files are about
// profiles and plugins, and with a file upstream does not look at --kubeconfig.
func (sched *scheduler) completeConfig(o *options.Options) error {
	if o.ConfigFile == "" || !sched.plan.Selected(names.APIServer) {
		return nil
	}
	text, err := os.ReadFile(o.ConfigFile)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	connection, _ := config["clientConnection"].(map[string]any)
	if connection == nil {
		connection = map[string]any{}
	}
	if file, _ := connection["kubeconfig"].(string); file != "" || o.Master != "" {
		return nil
	}
	connection["kubeconfig"] = cluster.PlainKubeconfigPath(sched.plan, names.Scheduler) // YAML has only text
	config["clientConnection"] = connection
	if text, err = yaml.Marshal(config); err != nil {
		return err
	}
	o.ConfigFile = sched.plan.Path(configFile)
	return cluster.Write(o.ConfigFile, text)
}

// lead does what app.Run does with leader election, except that it returns where that ends the process with os.Exit,
// which cannot be caught. (It serves nothing while another scheduler leads.)
func (r *running) lead(ctx context.Context) error {
	election := *r.config.LeaderElection
	r.config.LeaderElection = nil // so that app.Run runs at once
	r.config.ComponentConfig.LeaderElection.LeaderElect = false
	election.ReleaseOnCancel = true // another one need not wait for the lease to end
	standby := sync.OnceFunc(func() { close(r.standby) })
	led, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	election.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(ctx context.Context) {
			close(led)
			ended <- r.run(ctx)
			cancel() // it does not lead any more
		},
		OnStoppedLeading: func() {},
		OnNewLeader: func(leader string) {
			if leader != election.Lock.Identity() {
				standby()
			}
		},
	}
	elector, err := leaderelection.NewLeaderElector(election)
	if err != nil {
		return err
	}
	elector.Run(ctx) // until ctx ends, or the lease is lost
	select {
	case <-led:
		return <-ended
	default:
		return errors.New("it has not become the leader")
	}
}

// ready waits until the scheduler has seen all objects that it decides by, or stands by because another one leads.
func (sched *scheduler) ready(ctx context.Context, _ *supervisor.Server) error {
	r, err := sched.started.Get(ctx)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() {
		r.config.InformerFactory.WaitForCacheSync(ctx.Done())
		synced <- r.scheduler.WaitForHandlersSync(ctx)
	}()
	select {
	case err := <-synced:
		return err
	case <-r.standby:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
