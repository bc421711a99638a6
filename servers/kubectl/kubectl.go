// Package kubectl is kubectl, inside the binary.
package kubectl

import (
	"context"
	"os"
	"slices"
	"strings"

	// Sign-in plugins of client-go, as in upstream's binary.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	// Only the effect on upstream is wanted.
	_ "github.com/seed-200a7251/km/servers/kubectl/translations"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// New returns the server. location tells which cluster is meant whose kubeconfig is used if neither the arguments nor
// the environment name one. It is asked when kubectl is called as part of km, not through a symlink, which is
// upstream's kubectl and nothing else.
func New(location func() (*supervisor.Plan, error)) *supervisor.Server {
	return &supervisor.Server{
		SimpleUsage: names.Kubectl,
		Long:        "The command line client. `km kubectl` talks to km's cluster unless KUBECONFIG or --kubeconfig names another one.",
		Main:        func(_ context.Context, s *supervisor.Server, args []string) error { return run(location, s, args) },
		// It is a command of cobra's that knows the word.
		Complete: func(_ context.Context, s *supervisor.Server, args []string) error { return run(location, s, args) },
	}
}

func run(location func() (*supervisor.Plan, error), s *supervisor.Server, args []string) error {
	o := options()
	handler := plugins{PluginHandler: o.PluginHandler}
	if s.Linked() {
		handler.self = link()
	}
	o.PluginHandler = handler
	if !s.Linked() && os.Getenv("KUBECONFIG") == "" && !namesKubeconfig(args) {
		p, err := location()
		if err != nil {
			return err
		}
		if err := use(p, &o); err != nil {
			return err
		}
	}
	process.Become(names.Kubectl, args)
	o.Arguments = os.Args
	// From here on this is cmd/kubectl/kubectl.go.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	command := cmd.NewDefaultKubectlCommandWithArgs(o.KubectlOptions)
	if o.absent != nil {
		keepConfig(command, o.absent)
	}
	if err := cli.RunNoErrOutput(command); err != nil {
		util.CheckErr(err)
	}
	return nil
}

func namesKubeconfig(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end] // what follows is for a container
	}
	return slices.ContainsFunc(args, func(arg string) bool {
		return arg == "--kubeconfig" || strings.HasPrefix(arg, "--kubeconfig=")
	})
}
