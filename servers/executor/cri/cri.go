// Package cri makes this machine a node: the kubelet, in process, runs the containers of pods with a runtime that
// speaks CRI, such as containerd.
package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/flagz"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	kubeletconfigv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletconfigvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// GracePeriod is how long a stop may take: the containers have their own grace periods, 30 seconds by default.
const GracePeriod = 45 * time.Second

// Node is this machine.
type Node struct {
	cluster *cluster.Cluster
	started supervisor.Handoff[kubernetes.Interface]

	name     string
	address  string
	defaults *kubeletconfigv1beta1.KubeletConfiguration
	tunables tunables
	joined   bool // the cluster is one that this machine has joined
	// controllers is the address of a controller-manager in the same process, if there is one.
	controllers string
}

// New returns the node.
func New(c *cluster.Cluster) *Node {
	return &Node{cluster: c, started: supervisor.NewHandoff[kubernetes.Interface]()}
}

// Address says which node it is.
func (n *Node) Address() string { return "node " + n.name + " at " + n.address }

// Defaults sets those flags of the kubelet that are not part of its configuration.
func Defaults(p *supervisor.Plan, s *supervisor.Server) error {
	pairs := []string{"root-dir", p.Path("kubelet"), "cert-dir", p.Path("kubelet", "pki")}
	if ip := cluster.NodeIP(p); ip != nil {
		// Upstream asks first what this machine's name is resolved to, which may be a loopback address.
		pairs = append(pairs, "node-ip", ip.String())
	}
	if cluster.HasKubeconfigs(p) {
		pairs = append(pairs, "kubeconfig", cluster.KubeconfigPath(p, cluster.NodeKubeconfig))
	}
	return s.Default(pairs...)
}

// configuration returns km's defaults: those of a node on a developer's machine, which has other things to do, too.
func (n *Node) configuration(p *supervisor.Plan) (*kubeletconfigv1beta1.KubeletConfiguration, error) {
	c := &kubeletconfigv1beta1.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: kubeletconfigv1beta1.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		// Without these, anybody who reaches the port may run commands in the containers: upstream's defaults for
		// flags.
		Authentication: kubeletconfigv1beta1.KubeletAuthentication{
			Anonymous: kubeletconfigv1beta1.KubeletAnonymousAuthentication{Enabled: ptr.To(false)},
			Webhook:   kubeletconfigv1beta1.KubeletWebhookAuthentication{Enabled: ptr.To(true)},
		},
		Authorization:   kubeletconfigv1beta1.KubeletAuthorization{Mode: kubeletconfigv1beta1.KubeletAuthorizationModeWebhook},
		TLSCipherSuites: component.CipherSuites(),
		Address:         n.address,
		// kubeadm's default, too. Without one, no Service is found by its short name, elsewhere neither.
		ClusterDomain: cluster.Domain,
		PodLogsDir:    p.Path("pod-logs"),
		// Upstream's is made in /usr.
		VolumePluginDir: p.Path("kubelet", "volume-plugins"),

		// As kind has it: a disk or a memory that is nearly full is normal on such a machine, and no reason to end
		// pods.
		EvictionHard: map[string]string{
			"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		ImageGCHighThresholdPercent: ptr.To[int32](100),
		FailSwapOn:                  ptr.To(false),
		FailCgroupV1:                ptr.To(false),
		// The pods together may use what the machine has; a limit for all of them needs a systemd that delegates it.
		EnforceNodeAllocatable: []string{"none"},
		// Rules of iptables that nothing here asks for.
		MakeIPTablesUtilChains: ptr.To(false),

		// The limits are those of the whole process, and are set when the kubelet starts: they shall stay what they
		// are.
		MaxOpenFiles: maxOpenFiles(),
		OOMScoreAdj:  ptr.To(component.OOMScoreAdj()),
	}
	if component.Hardened(p.Server(names.Executor)) {
		// The other handlers for debugging are what kubectl's logs and exec need.
		c.EnableProfilingHandler = ptr.To(false)
		c.TLSMinVersion = "VersionTLS12"
	}
	if p.FreePorts {
		c.HealthzPort = ptr.To[int32](0)
	}
	if apiserver := p.Server(names.APIServer); apiserver != nil {
		c.Authentication.X509.ClientCAFile = cluster.PKIPath(p, "ca.crt")
		c.TLSCertFile, c.TLSPrivateKeyFile = cluster.NodeCert(p)
		if p.Selected(names.DNS) {
			ip, err := cluster.DNSIP(apiserver)
			if err != nil {
				return nil, err
			}
			c.ClusterDNS = []string{ip}
		}
		return c, nil
	}
	// Elsewhere whoever signs for the apiserver signs for its clients, too, as a rule; the apiserver is one, of the
	// kubelet.
	c.Authentication.X509.ClientCAFile = clusterCA(p)
	// The cluster signs a certificate with which the kubelet serves, or the apiserver would not know it.
	c.ServerTLSBootstrap = cluster.IsJoined(p)
	return c, nil
}

// Configuration returns by what the kubelet would go in this plan: flags, files, km's defaults and upstream's.
func Configuration(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) (*kubeletconfig.KubeletConfiguration, error) {
	n := &Node{}
	defaults, err := n.configuration(p)
	if err != nil {
		return nil, err
	}
	o, err := newOptions(ctx, s, defaults)
	if err != nil {
		return nil, err
	}
	return &o.KubeletConfiguration, nil
}

// clusterCA is where the certificate is kept by which a cluster elsewhere is known.
func clusterCA(p *supervisor.Plan) string { return p.Path("kubelet", "cluster-ca.crt") }

// find finds out what the node is, and km's defaults for it.
func (n *Node) find(p *supervisor.Plan) (err error) {
	if n.name, err = cluster.NodeName(p); err != nil {
		return err
	}
	if ip := cluster.NodeIP(p); ip != nil {
		n.address = ip.String()
	}
	n.defaults, err = n.configuration(p)
	return err
}

// Check looks for what is wrong with the flags, and for what this machine lacks.
func (n *Node) Check(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := cluster.CheckKubeconfig(s); err != nil {
		return err
	}
	first := n.defaults == nil
	if first { // what it finds then stays: it may be asked again while the kubelet runs
		if err := n.find(p); err != nil {
			return err
		}
	}
	o, err := newOptions(ctx, s, n.defaults)
	if err != nil {
		return err
	}
	if strings.ContainsFunc(o.PodLogsDir, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("executor: the kubelet takes no folder for the logs of pods that has other characters than those of ASCII in its path, as %s has: name another "+
			"folder with --data-dir, or as podLogsDir in a file of --executor.config", o.PodLogsDir)
	}
	if err := options.ValidateKubeletFlags(&o.KubeletFlags); err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	if err := kubeletconfigvalidation.ValidateKubeletConfiguration(&o.KubeletConfiguration, utilfeature.DefaultFeatureGate); err != nil {
		return fmt.Errorf("executor: %w", err)
	}
	if o.BootstrapKubeconfig != "" || o.RotateCertificates {
		return fmt.Errorf("executor: a node that gets its certificate from the apiserver is a process of its own: call `%s`, or name a kubeconfig with a certificate alone",
			s.Command("kubelet"))
	}
	if o.KubeConfig == "" {
		return errors.New("executor: there is no apiserver in the list: name the cluster with --executor.kubeconfig")
	}
	if !p.OnlyCheck {
		if err := preflight(ctx, o, n.address, s.Slog()); err != nil {
			return err
		}
	}
	if !first {
		return nil
	}
	// That is what a file may have said.
	return s.Default("address", o.Address, "port", strconv.Itoa(int(o.Port)))
}

// Prepare makes what the kubelet shows to others.
func (n *Node) Prepare(p *supervisor.Plan, s *supervisor.Server) error {
	for _, dir := range []string{p.Path("kubelet"), p.Path("pod-logs")} { // upstream would let others in
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if m := p.Server(names.ControllerManager); m != nil && !m.Isolated() && !s.Isolated() {
		n.controllers = cluster.HTTPS(m)
	}
	n.joined = cluster.IsJoined(p)
	if !p.Selected(names.APIServer) {
		config, err := clientcmd.BuildConfigFromFlags("", s.Value("kubeconfig"))
		if err != nil {
			return err
		}
		if err := rest.LoadTLSFiles(config); err != nil {
			return fmt.Errorf("executor: --executor.kubeconfig: %w", err)
		}
		if len(config.CAData) == 0 { // it is known by one of the machine's authorities, who do not sign for its clients
			n.defaults.Authentication.X509.ClientCAFile = ""
			return nil
		}
		return cluster.Write(clusterCA(p), config.CAData)
	}
	if err := n.cluster.EnsureNodeCert(n.name, n.address); err != nil {
		return err
	}
	return n.cluster.EnsureNodeKubeconfig(p, n.name)
}

// Run is the kubelet, until ctx ends.
func (n *Node) Run(ctx context.Context, s *supervisor.Server) error {
	if n.joined && !s.Given("cluster-dns") {
		if err := n.findDNS(ctx, s); err != nil {
			return err
		}
	}
	o, err := newOptions(ctx, s, n.defaults)
	if err != nil {
		return err
	}
	if n.controllers != "" && !awaitControllers(ctx, n.controllers) {
		s.Logger().Warn("the controllers have not been made yet; they may take the place of the kubelet's CSI plugin")
	}
	// The kubelet opens its port itself, and ends the process if it cannot. It was free a moment ago.
	s.CloseSockets()
	if n.tunables, err = readTunables(); err != nil {
		return err
	}
	deps, err := app.UnsecuredDependencies(ctx, o, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	deps.Flagz = flagz.NamedFlagSetsReader{FlagSets: cliflag.NamedFlagSets{FlagSets: map[string]*pflag.FlagSet{"kubelet": Flags(o)}}}
	link, err := connect(o, deps)
	if err != nil {
		return err
	}
	defer n.started.Put(deps.KubeClient)()
	failed := make(chan error, 1)
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() { failed <- app.Run(lasting, o, deps, utilfeature.DefaultFeatureGate) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if err := stopPods(lasting, link, deps, o); err != nil {
		klog.FromContext(ctx).Error(err, "The node was not stopped cleanly")
	}
	return nil
}

// Ready waits until the node is.
func (n *Node) Ready(ctx context.Context, s *supervisor.Server) error {
	if err := n.waitReady(ctx, s); err != nil {
		return err
	}
	return n.tunables.restore()
}

func (n *Node) waitReady(ctx context.Context, s *supervisor.Server) error {
	since := metav1.Now().Rfc3339Copy()
	client, err := n.started.Get(ctx)
	if err != nil {
		return err
	}
	if err := n.cluster.Insist(ctx, s, func(ctx context.Context) error { return n.tryRegister(ctx, client) }); err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, 25*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return false, nil // it is not there yet, or the server is busy
		}
		for _, c := range node.Status.Conditions {
			// One from before the start says nothing.
			if c.Type == corev1.NodeReady && !c.LastHeartbeatTime.Before(&since) {
				return c.Status == corev1.ConditionTrue, nil
			}
		}
		return false, nil
	})
}
