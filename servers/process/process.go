// Package process is the one place where state of the whole process is touched that upstream's components share. Each
// line says what breaks without it.
package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/grpclog"
	"k8s.io/apimachinery/pkg/util/runtime"
	encryptionconfig "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"

	"k8s.io/component-base/metrics"

	// The metrics of client-go and of work queues are registered by these packages' init functions, as in upstream's
	// binaries; without them they are missing from /metrics.
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/logging/klogs"
	"github.com/seed-200a7251/km/supervisor"
)

// Flags are the flags of which the whole process has one value, whichever component it is given to: Variables, and
// those that components hand to the process when they start (k8s.io/component-base/metrics.Options.Apply;
// /proc/self/oom_score_adj).
var Flags = append(slices.Clone(Variables),
	"show-hidden-metrics-for-version", "disabled-metrics", "allow-metric-labels", "allow-metric-labels-manifest", "oom-score-adj")

// Variables are the flags whose values upstream keeps in variables of the process, one for all components
// (k8s.io/component-base/compatibility.DefaultComponentGlobalsRegistry). They are set once.
var Variables = []string{"feature-gates", "emulated-version", "min-compatibility-version"}

// BeforeFlags belongs before the first flag is made.
func BeforeFlags() { beforeFlags() }

var beforeFlags = sync.OnceFunc(func() {
	// Upstream spells some flags with underscores when it looks them up; each of its commands sets this.
	pflag.CommandLine.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
})

// Setup belongs after all flags have their values and before the first server is checked or started. It is for several
// components in one process; a component that has the process for itself does all this in its own way.
func Setup(p *supervisor.Plan) error {
	once.Do(func() { setup(p) })
	if err := admit(p); err != nil {
		return err
	}
	for _, s := range p.Servers {
		if err := apply(s); err != nil {
			return err
		}
	}
	if p.Embedded {
		// Without it klog drops what servers of this plan want to log: setup has it follow the program around them.
		klogs.Follow(p.Logs())
		return nil
	}
	// Without it what the components' HTTP servers complain of (k8s.io/apiserver/pkg/server/secure_serving.go) is
	// printed to standard error, in between all else.
	if err := p.Logs().TakeStderr(); err != nil {
		return err
	}
	// The components' commands do it, too: they talk to deprecated APIs on purpose, and would log a warning for each.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return nil
}

var once sync.Once

// setup does for the first plan of a process what holds for those that follow. Most of it is a variable without a lock,
// which cannot be set while servers run.
func setup(p *supervisor.Plan) {
	logs := p.Logs()
	if p.Embedded {
		// What is logged by no server is the program's around it, also when this plan has ended.
		logs = logging.New(logging.Config{Out: os.Stderr, Program: "km"})
		// Without it what the simulated nodes log is in between what the program does.
		WrapSlog(func(h slog.Handler) slog.Handler { return placed{Handler: h} })
	}
	// Without it klog writes text lines to standard error that belong to nobody. Setting it later is a data race.
	// A fatal line of one component is that component's failure: upstream ends the process with it, for instance when a
	// hook of the API server is interrupted by a stop.
	klogs.Install(logs, func(l *logging.Log, err error, code int) {
		s := serverOf(l)
		switch {
		case s != nil:
			s.Fail(err)
		case p.Embedded && l != nil: // one of a plan that has ended has left a goroutine behind
		default:
			os.Exit(code)
		}
	})

	// Without it a panic in a goroutine that upstream guards (runtime.HandleCrash) ends the process, too, once it has
	// been logged.
	runtime.PanicHandlers = append(runtime.PanicHandlers, func(_ context.Context, v any) { contain(logs, v) })

	// Without it the apiserver's etcd clients write to standard error by themselves.
	placeEtcdClients(logs)

	// Without it a new key for Secrets is taken up to a minute after it is there, and so is the end of an old one.
	encryptionconfig.EncryptionConfigFileChangePollDuration = time.Second

	// Without it each stop of the apiserver waits a second for idle connections.
	HurryGoAway()
}

// settle gives the variables their values, for the first plan of a process.
func settle() error {
	// Without it etcd verifies its data when it closes, and panics if it finds fault; that is for its own tests.
	// (NOTIFY_SOCKET and WATCHDOG_*, by which components would speak for the whole process, are gone already: the
	// supervisor has taken them.)
	if err := os.Unsetenv("ETCD_VERIFY"); err != nil {
		return err
	}
	// Feature gates are locked and versions are resolved once for all. Without it the first component that is asked
	// falls back to the defaults, with a warning, whatever the flags say.
	if err := compatibility.DefaultComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("--%s: %w", strings.Join(Variables, ", --"), err)
	}
	// The components' commands do it. Without it /metrics does not tell which features are on
	// (kubernetes_feature_enabled), nor which version is emulated.
	feature.DefaultMutableFeatureGate.AddMetrics()
	compatibility.DefaultComponentGlobalsRegistry.AddMetrics()
	return nil
}

// apply does what components leave to their commands, for which there is no place here.
func apply(s *supervisor.Server) error {
	// The kubelet and the proxy keep the gates that they are given to themselves until they start. They know no other
	// component's gates, and so not the prefix that the apiserver has for these.
	if f := s.Flags().Lookup("feature-gates"); s.IsProcessFlag("feature-gates") && f != nil && f.Value.Type() == "mapStringBool" && f.Changed {
		if err := feature.DefaultMutableFeatureGate.Set(strings.ReplaceAll(f.Value.String(), "kube:", "")); err != nil {
			return fmt.Errorf("--feature-gates: %w", err)
		}
	}
	// The proxy does so in a constructor that is not called. Those that are hidden are registered again here, for all.
	if s.Value("show-hidden-metrics-for-version") != "" {
		metrics.SetShowHidden()
	}
	return nil
}

// Become makes the process look like the upstream binary of that name: cobra commands and etcd read os.Args by
// themselves, for plugins and subcommands.
func Become(name string, args []string) {
	os.Args = append([]string{name}, args...)
}

// DropUnhandledErrors has upstream not print errors that it can return to nobody. It is for a process that is a client
// and nothing else, and tells the same error by itself: without it the same line stands there five times.
func DropUnhandledErrors() { runtime.ErrorHandlers = nil }

// DropClientLogs has gRPC, whose lines go to klog (k8s.io/apiserver/pkg/storage/etcd3/logger.go), not print of each try
// to reach a member of etcd. It is for a process that is a client and nothing else, and tells by itself who does not
// answer.
func DropClientLogs() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) }
