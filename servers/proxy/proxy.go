// Package proxy is the kube-proxy: it has Services reach their pods.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// upstream is the name of the component's own binary.
const upstream = "kube-proxy"

// simulated is the mode in which the proxy watches and counts, and programs nothing.
const simulated kubeproxyconfig.ProxyMode = "simulated"

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	p := &proxy{cluster: c, started: supervisor.NewHandoff[func(context.Context) error]()}
	return &supervisor.Server{
		SimpleUsage: names.Proxy,
		Aliases:     []string{upstream},
		Long: "The network proxy: has the addresses and ports of Services lead to their pods, by rules in the kernel (nftables, or " +
			"iptables). With simulated nodes, or without the rights, it is simulated, too: --proxy.proxy-mode=simulated watches " +
			"Services and programs nothing.",
		AddFlags:      addFlags,
		ProcessFlags:  append(slices.Clone(process.Flags), component.JoinFlag),
		VerbosityFlag: "v",
		VModuleFlag:   "vmodule",
		LevelWarning:  component.LevelWarning,
		FlagValues:    component.FlagValues(values),
		Packages:      []string{"k8s.io/kubernetes/cmd/kube-proxy", "k8s.io/kubernetes/pkg/proxy", "sigs.k8s.io/knftables"},
		Needs: []supervisor.Need{
			{Server: names.APIServer, Unless: []string{"kubeconfig", "master", component.JoinFlag}},
			cluster.AfterMachine,
		},
		State:      c.Identify(names.Proxy, cluster.Identity{User: "system:kube-proxy", OnNodes: true}),
		Defaults:   defaults,
		Check:      p.check,
		Prepare:    c.PrepareClient,
		Run:        p.run,
		Ready:      p.ready,
		Address:    p.address,
		StartsOnce: p.startsOnce,
		Main:       component.Main(upstream, func() *cobra.Command { return app.NewProxyCommand() }),
	}
}

// values are those of flags whose usage has no list of them.
var values = map[string][]string{
	"proxy-mode": {string(kubeproxyconfig.ProxyModeNFTables), string(kubeproxyconfig.ProxyModeIPTables), string(kubeproxyconfig.ProxyModeIPVS),
		string(kubeproxyconfig.ProxyModeKernelspace) + "\ton Windows", string(simulated) + "\tprograms nothing"},
	"detect-local-mode": {string(kubeproxyconfig.LocalModeClusterCIDR), string(kubeproxyconfig.LocalModeNodeCIDR),
		string(kubeproxyconfig.LocalModeBridgeInterface), string(kubeproxyconfig.LocalModeInterfaceNamePrefix)},
}

type proxy struct {
	cluster *cluster.Cluster
	started supervisor.Handoff[func(context.Context) error] // waits until this start can be used
	mode    kubeproxyconfig.ProxyMode                       // by the first check, as long as the process runs
	checked bool
}

// flags returns the component's flags, bound to its options.
func flags(o *app.Options) *pflag.FlagSet {
	fs := pflag.NewFlagSet(upstream, pflag.ContinueOnError)
	fs.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	o.AddFlags(fs)
	return fs
}

func addFlags(s *supervisor.Server) {
	fs := flags(app.NewOptions())
	fs.Lookup("proxy-mode").Usage = "'nftables', 'iptables' or 'ipvs' on Linux, 'kernelspace' on Windows, or 'simulated', which programs nothing (default: nftables beside a real node, else simulated)"
	// It is told as such in the help, which is to be the same everywhere.
	fs.Lookup("oom-score-adj").Annotations = map[string][]string{supervisor.AnnotationDefault: {"that of the process"}}
	s.AddFlagGroup(upstream, fs)
	component.AddJoin(s)
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	pairs := []string{
		"proxy-mode", string(defaultMode(p)),
		"healthz-bind-address", "127.0.0.1:10256", // upstream's is for all
		// These are settings of the whole machine, or of the whole process, which have other uses, too.
		"conntrack-max-per-core", "0",
		"conntrack-tcp-timeout-established", "0s",
		"conntrack-tcp-timeout-close-wait", "0s",
		"oom-score-adj", strconv.Itoa(int(component.OOMScoreAdj())),
	}
	if p.FreePorts {
		pairs = append(pairs, "healthz-bind-address", "", "metrics-bind-address", "")
	}
	if cluster.HasKubeconfigs(p) {
		pairs = append(pairs, "kubeconfig", cluster.KubeconfigPath(p, names.Proxy))
	}
	if executor := p.Server(names.Executor); executor != nil && executor.Value("hostname-override") != "" {
		pairs = append(pairs, "hostname-override", executor.Value("hostname-override"))
	}
	return s.Default(pairs...)
}

// defaultMode is the mode where the user names none.
func defaultMode(p *supervisor.Plan) kubeproxyconfig.ProxyMode {
	_, err := exec.LookPath("nft")
	able := runtime.GOOS == "linux" && os.Getuid() == 0 && err == nil
	switch {
	case cluster.HasRealNode(p): // the check tells what is missing
		return kubeproxyconfig.ProxyModeNFTables
	case p.Selected(names.Executor) || !able:
		return simulated
	}
	return kubeproxyconfig.ProxyModeNFTables
}

func (px *proxy) check(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := cluster.CheckJoin(p, s); err != nil {
		return err
	}
	if err := component.RefuseLogFlags(s, component.LogFlags...); err != nil {
		return err
	}
	if err := component.RefuseEnding(s, names.Proxy, "cleanup", "init-only", "write-config-to"); err != nil {
		return err
	}
	config, err := configuration(s)
	if err != nil {
		return err
	}
	switch {
	case !px.checked:
		px.mode, px.checked = config.Mode, true
	case px.mode != config.Mode && !s.Isolated(): // startsOnce goes by it
		return fmt.Errorf("proxy: the mode %q cannot become %q in a process that runs: begin a new run", px.mode, config.Mode)
	}
	if err := cluster.CheckKubeconfig(s); err != nil {
		return err
	}
	if config.ClientConnection.Kubeconfig == "" && s.Value("master") == "" {
		return errors.New("proxy: there is no apiserver in the list: name the cluster with --proxy.kubeconfig")
	}
	if config.Mode == simulated || p.OnlyCheck {
		return nil
	}
	return checkMachine(s, config.Mode)
}

// startsOnce reports whether it is the real one: upstream's never ends, and its metrics are registered for the process.
func (px *proxy) startsOnce(s *supervisor.Server) bool {
	if px.checked {
		return px.mode != simulated
	}
	config, err := configuration(s)
	return err != nil || config.Mode != simulated // the check tells of the error
}

func (px *proxy) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	config, err := configuration(s)
	if err != nil {
		return err
	}
	client, err := clientConfig(config, s.Value("master"))
	if err != nil {
		return err
	}
	if px.mode == simulated {
		return px.simulate(ctx, config, client)
	}
	return px.program(ctx, s, config, client)
}

// clientConfig is how the component reaches the apiserver.
func clientConfig(config *kubeproxyconfig.KubeProxyConfiguration, master string) (*rest.Config, error) {
	c := config.ClientConnection
	client, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig},
		&clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{Server: master}}).ClientConfig()
	if err != nil {
		return nil, err
	}
	client.AcceptContentTypes, client.ContentType = c.AcceptContentTypes, c.ContentType
	client.QPS, client.Burst = c.QPS, int(c.Burst)
	return client, nil
}

func (px *proxy) ready(ctx context.Context, _ *supervisor.Server) error {
	wait, err := px.started.Get(ctx)
	if err != nil {
		return err
	}
	return wait(ctx)
}

func (px *proxy) address(*supervisor.Server) string {
	if px.mode == simulated {
		return "simulated: no rules are made"
	}
	return string(px.mode)
}
