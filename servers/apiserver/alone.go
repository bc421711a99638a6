package apiserver

import (
	"log/slog"
	"os"
	"slices"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/flagz"
	"k8s.io/client-go/kubernetes"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	utilversion "k8s.io/component-base/version"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/process"
)

// command is upstream's command for arguments, with its flags, its help and its checks, but the start and the stop that
// the server has in `km run`: no hook sleeps for a second, nothing is built that nobody asks for, and a stop does not
// wait for clients that only listen. What is for km's other servers is left out: the server makes the roles that
// Kubernetes has, and answers as soon as it listens. Users may ask for upstream's command as it is.
func command(args []string) *cobra.Command {
	cmd := app.NewAPIServerCommand()
	if component.Plain() {
		return cmd
	}
	process.HurryGoAway()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		verflag.PrintAndExitIfRequested()
		o, err := optionsOf(cmd.Flags(), args)
		if err != nil {
			return err
		}
		return runAlone(cmd, o)
	}
	return cmd
}

// optionsOf are the options that the arguments of upstream's command describe. Upstream keeps those that it has filled
// to itself.
func optionsOf(flags *pflag.FlagSet, args []string) (*options.ServerRunOptions, error) {
	o := options.NewServerRunOptions()
	sets := o.Flags()
	o.Flagz = flagz.NamedFlagSetsReader{FlagSets: sets}
	own := component.Join(sets)
	err := flags.ParseAll(args, func(f *pflag.Flag, value string) error {
		if own.Lookup(f.Name) == nil || slices.Contains(process.Variables, f.Name) { // those of the process are set
			return nil
		}
		return own.Set(f.Name, value)
	})
	for pair := range slices.Chunk(stopDefaults, 2) {
		if f := own.Lookup(pair[0]); err == nil && !f.Changed {
			err = f.Value.Set(pair[1]) // it is not the user's
		}
	}
	return o, err
}

// runAlone does what upstream's command does. It returns when a signal has ended the server.
func runAlone(cmd *cobra.Command, o *options.ServerRunOptions) error {
	ctx, registry := cmd.Context(), o.GenericServerRunOptions.ComponentGlobalsRegistry
	gate := registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(o.Logs, gate); err != nil {
		return err
	}
	cliflag.PrintFlags(cmd.Flags())
	completed, err := o.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	if gate, ok := gate.(featuregate.MutableFeatureGate); ok {
		gate.AddMetrics()
	}
	registry.AddMetrics()
	klog.Infof("Version: %+v", utilversion.Get())
	klog.InfoS("Golang settings", "GOGC", os.Getenv("GOGC"), "GOMAXPROCS", os.Getenv("GOMAXPROCS"),
		"GOTRACEBACK", os.Getenv("GOTRACEBACK"))

	c := newChain(ctx, &rights{}, slog.New(logr.ToSlogHandler(klog.Background())))
	defer c.release()
	if err := c.makeServer(completed); err != nil {
		return err
	}
	return c.run(ctx, ctx.Done(), func(kubernetes.Interface) {})
}
