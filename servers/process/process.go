// Package process is the one place where state of the whole process is touched that upstream's components share. Each
// line says what breaks without it.
package process

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"

	// The metrics of client-go and of work queues are registered by these packages' init functions, as in upstream's
	// binaries; without them they are missing from /metrics.
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/logging/klogs"
	"github.com/seed-200a7251/km/supervisor"
)

// Flags are the flags whose values upstream keeps in variables of the process, one for all components
// (k8s.io/component-base/compatibility.DefaultComponentGlobalsRegistry).
var Flags = []string{"feature-gates", "emulated-version", "min-compatibility-version"}

// BeforeFlags belongs before the first flag is made.
func BeforeFlags() {
	// Upstream spells some flags with underscores when it looks them up; each of its commands sets this.
	pflag.CommandLine.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
}

// Setup belongs after all flags have their values and before the first server is checked or started. It is for several
// components in one process; a component that has the process for itself does all this in its own way.
func Setup(p *supervisor.Plan) error {
	// Without it klog writes text lines to standard error that belong to nobody. Setting it later is a data race.
	// A fatal line of one component is that component's failure: upstream ends the process with it, for instance when a
	// hook of the API server is interrupted by a stop.
	klogs.Install(p.Logs(), func(l *logging.Log, err error, code int) {
		if s := serverOf(p, l); s != nil {
			s.Fail(err)
			return
		}
		os.Exit(code)
	})

	// Without it what the components' HTTP servers complain of (k8s.io/apiserver/pkg/server/secure_serving.go) is printed
	// to standard error, in between all else.
	if err := p.Logs().TakeStderr(); err != nil {
		return err
	}

	// Without it a panic in a goroutine that upstream guards (runtime.HandleCrash) ends the process, too, once it has been logged.
	runtime.PanicHandlers = append(runtime.PanicHandlers, func(_ context.Context, v any) { contain(p, v) })

	// Without it the apiserver's etcd clients write to standard error by themselves.
	placeEtcdClients(p.Logs())

	// The components' commands do it, too: they talk to deprecated APIs on purpose, and would log a warning for each.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	// Without it etcd verifies its data when it closes, and panics if it finds fault; that is for its own tests. (NOTIFY_SOCKET and
	// WATCHDOG_*, by which components would speak for the whole process, are gone already: the supervisor has taken them.)
	if err := os.Unsetenv("ETCD_VERIFY"); err != nil {
		return err
	}

	// Feature gates are locked and versions are resolved once for all. Without it the first component that is asked
	// falls back to the defaults, with a warning, whatever the flags say.
	if err := compatibility.DefaultComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("--%s: %w", strings.Join(Flags, ", --"), err)
	}
	// The kubelet and the proxy keep what they are given to themselves until they start, and nobody else may have the flag.
	for _, s := range p.Servers {
		if f := s.Flags().Lookup("feature-gates"); f != nil && f.Value.Type() == "mapStringBool" && f.Changed {
			if err := feature.DefaultMutableFeatureGate.Set(f.Value.String()); err != nil {
				return fmt.Errorf("--feature-gates: %w", err)
			}
		}
	}
	return nil
}

// WrapSlog puts a handler in front of slog's default one. It belongs before the first server's start.
func WrapSlog(wrap func(slog.Handler) slog.Handler) {
	flags, out := log.Flags(), log.Writer()
	slog.SetDefault(slog.New(wrap(slog.Default().Handler())))
	// It has the log package write to slog now; that has a bridge of its own.
	log.SetFlags(flags)
	log.SetOutput(out)
}

// Become makes the process look like the upstream binary of that name: cobra commands and etcd read os.Args by
// themselves, for plugins and subcommands.
func Become(name string, args []string) {
	os.Args = append([]string{name}, args...)
}
