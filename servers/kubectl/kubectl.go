// Package kubectl is kubectl, inside the binary.
package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	// Sign-in plugins of client-go, as in upstream's binary.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"github.com/seed-200a7251/km/servers/cluster"
	// Only the effect on upstream is wanted.
	_ "github.com/seed-200a7251/km/servers/kubectl/translations"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// Name of the server, which is none: it can be called, not run beside others.
const Name = "kubectl"

// New returns the server. location tells which cluster is meant whose kubeconfig is used if neither the arguments nor the
// environment name one. It is asked when kubectl is called as part of km, not through a soft link, which is upstream's
// kubectl and nothing else.
func New(location func() (*supervisor.Plan, error)) *supervisor.Server {
	return &supervisor.Server{
		SimpleUsage: Name,
		Long:        "The command line client. `km kubectl` talks to km's cluster unless KUBECONFIG or --kubeconfig names another one.",
		Main:        func(_ context.Context, s *supervisor.Server, args []string) error { return run(location, s, args) },
		// It is a command of cobra's that knows the word.
		Complete: func(_ context.Context, s *supervisor.Server, args []string) error { return run(location, s, args) },
	}
}

func run(location func() (*supervisor.Plan, error), s *supervisor.Server, args []string) error {
	if !s.Linked() && os.Getenv("KUBECONFIG") == "" && !namesKubeconfig(args) {
		flag, err := use(location, args)
		if err != nil {
			return err
		}
		if flag != "" {
			at := 0
			if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				at = 1 // no plugin is found behind a flag
			}
			args = slices.Insert(slices.Clone(args), at, flag)
		}
	}
	process.Become(Name, args)
	// From here on this is cmd/kubectl/kubectl.go.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
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

// offline are the commands that talk to no cluster.
var offline = []string{"help", "completion", "options", "plugin", "config", "kustomize", "version"}

// completion is how the words begin with which completion scripts call kubectl.
const completion = cobra.ShellCompRequestCmd

// use points kubectl to km's cluster. Without one it is an error, except for commands that need none: kubectl would take
// some other cluster, that of the user's own configuration or, in a pod, the one around it. It is named in the environment, where plugins
// look for it, too; or, if that cannot have the path and no run lends it another one, by the flag that is returned.
func use(location func() (*supervisor.Plan, error), args []string) (flag string, err error) {
	p, err := location()
	if err != nil {
		return "", err
	}
	file := cluster.KubeconfigPath(p, "admin")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if len(args) > 0 && strings.HasPrefix(args[0], completion) {
			return "", os.Setenv("KUBECONFIG", os.DevNull) // names of another cluster would be completed
		}
		needsNone := len(args) == 0 || slices.Contains(offline, args[0]) || slices.Contains(args, "--help") || slices.Contains(args, "-h")
		if needsNone {
			return "", nil
		}
		return "", fmt.Errorf("there is no cluster %q yet (%s is missing): start it with `km run`, or name another one with --kubeconfig", p.Name, file)
	}
	path, fits := cluster.AdminKubeconfig(p)
	if !fits {
		return "--kubeconfig=" + path, nil
	}
	return "", os.Setenv("KUBECONFIG", path)
}
