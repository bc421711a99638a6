package kubectl

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/supervisor/errno"
)

// kubectlOptions are what kubectl is called with.
type kubectlOptions struct {
	cmd.KubectlOptions
	absent error // why there is nothing to talk to
}

// options are upstream's (NewDefaultKubectlCommand in k8s.io/kubectl/pkg/cmd/cmd.go).
func options() kubectlOptions {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50.0)
	return kubectlOptions{KubectlOptions: cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		ConfigFlags:   flags.WithWarningPrinter(streams),
		IOStreams:     streams,
	}}
}

// use points kubectl to km's cluster. Without one, what needs none works as it does elsewhere, and each request to the
// API server fails with the way out: kubectl would ask some other one, that of the user's own configuration or, in a
// pod, the one around it.
func use(p *supervisor.Plan, o *kubectlOptions) error {
	file := cluster.KubeconfigPath(p, cluster.Admin)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		o.ConfigFlags.WrapConfigFn = o.explain(p)
		path, fits := cluster.AdminKubeconfig(p)
		if !fits { // nothing runs there; plugins are to ask nobody else
			o.ConfigFlags.KubeConfig, path = &path, os.DevNull
		}
		return os.Setenv("KUBECONFIG", path)
	}
	o.absent = cluster.OnNode(p)
	if o.absent == nil {
		o.absent = fmt.Errorf("there is no cluster %q yet (%s is missing): start it with `%s`, or name another one with --kubeconfig", p.Name, file, p.Command("run"))
	}
	o.ConfigFlags.WrapConfigFn = func(c *rest.Config) *rest.Config {
		if *o.ConfigFlags.APIServer != "" {
			return c // another one is named
		}
		// No other cluster has this address, so that nothing is found in kubectl's cache either.
		return &rest.Config{Host: "https://" + p.Name + ".invalid", Transport: refusal{o.absent}}
	}
	o.PluginHandler = noPlugins{o.PluginHandler, o.absent}
	process.DropUnhandledErrors() // the same, of each try to find out what the server has
	// Namespaces would be those of the pod around it.
	return errors.Join(os.Setenv("KUBECONFIG", os.DevNull), os.Unsetenv("KUBERNETES_SERVICE_HOST"))
}

// refusal refuses all requests.
type refusal struct{ err error }

func (r refusal) RoundTrip(*http.Request) (*http.Response, error) { return nil, r.err }

// noPlugins runs none: what they would talk to is not known.
type noPlugins struct {
	cmd.PluginHandler
	err error
}

func (n noPlugins) Execute(string, []string, []string) error { return n.err }

// readers are the subcommands of `kubectl config` that change nothing.
var readers = []string{"view", "current-context", "get-contexts", "get-clusters", "get-users"}

// keepConfig has the others fail: they would change what is not there.
func keepConfig(kubectl *cobra.Command, err error) {
	config, _, findErr := kubectl.Find([]string{"config"})
	if findErr != nil {
		return
	}
	for _, c := range config.Commands() {
		if !slices.Contains(readers, c.Name()) {
			c.Run = func(*cobra.Command, []string) { util.CheckErr(err) }
			c.RunE = nil
		}
	}
}

// explain has an error say what to do where nothing listens.
func (o *kubectlOptions) explain(p *supervisor.Plan) func(*rest.Config) *rest.Config {
	return func(c *rest.Config) *rest.Config {
		if *o.ConfigFlags.APIServer == "" {
			c.Wrap(func(next http.RoundTripper) http.RoundTripper { return explaining{next, p} })
		}
		return c
	}
}

type explaining struct {
	next http.RoundTripper
	plan *supervisor.Plan
}

func (e explaining) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := e.next.RoundTrip(r)
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		why := op.Err.Error()
		if errno.Refused(err) {
			// where kubectl reads "connection refused", it says something else (k8s.io/kubectl/pkg/cmd/util/helpers.go)
			why = "refused"
		}
		err = &unreachable{err, fmt.Sprintf("nothing answers at %s (%s): see how the cluster is with `%s`, or start it with `%s`",
			r.URL.Host, why, e.plan.Command("status"), e.plan.Command("run"))}
	}
	return response, err
}

// unreachable is an error of which kubectl shows the text. That of the error in it would have kubectl say something
// else.
type unreachable struct {
	error
	text string
}

func (u *unreachable) Error() string { return u.text }
func (u *unreachable) Unwrap() error { return u.error }
