// Package executor is the executor: the nodes on which pods run. They are simulated, by kwok's controllers: pods are
// scheduled to them, become Running and Ready, get addresses, complete and are deleted, but no container runs.
package executor

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// Name of the server.
const Name = "executor"

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	e := &executor{cluster: c, started: component.NewHandoff[kubernetes.Interface]()}
	return &supervisor.Server{
		SimpleUsage: Name,
		Long: "The nodes. They are simulated: pods become Running and Ready on them, get addresses, complete, and are deleted, " +
			"but no container runs. How they behave is said by Stages of kwok (kwok.x-k8s.io), objects in the cluster that can be " +
			"changed and added to.",
		AddFlags: e.addFlags,
		Packages: []string{"sigs.k8s.io/kwok"},
		Needs:    []supervisor.Need{{Server: "apiserver", Unless: []string{"kubeconfig"}}},
		Defaults: e.defaults,
		Check:    e.check,
		Listen:   c.Listen,
		Prepare:  e.prepare,
		Run:      e.run,
		Ready:    e.ready,
		Address:  func(*supervisor.Server) string { return plural(e.nodes, "simulated node") },
	}
}

type executor struct {
	cluster *cluster.Cluster
	started component.Handoff[kubernetes.Interface]

	nodes    int
	prefix   string
	capacity string
	labels   map[string]string
	zones    int
	podCIDR  string
}

// Defaults of the flags.
const (
	defaultPrefix = "node-"
	// defaultPodCIDR has a /24 for each of 4,096 nodes, and is apart from the Services' range.
	defaultPodCIDR = "10.128.0.0/12"
)

func (e *executor) addFlags(s *supervisor.Server) {
	fs := pflag.NewFlagSet(Name, pflag.ContinueOnError)
	fs.IntVar(&e.nodes, "nodes", 1, "number of simulated nodes; those of an earlier run with higher numbers are deleted")
	fs.StringVar(&e.prefix, "node-prefix", defaultPrefix, "beginning of the nodes' names; a number from 1 on follows")
	fs.StringVar(&e.capacity, "node-capacity", "", "what each node has for pods, such as cpu=8,memory=32Gi,pods=110 (default: this machine's CPUs and memory, and 110 pods)")
	fs.Var(cliflag.NewMapStringString(&e.labels), "node-labels", "labels of the nodes, KEY=VALUE, separated by commas")
	fs.IntVar(&e.zones, "node-zones", 1, "number of topology zones; the nodes are spread over them")
	fs.StringVar(&e.podCIDR, "pod-cidr", defaultPodCIDR, "range of the pods' addresses, of which each node has a /24")
	fs.String("kubeconfig", "", "kubeconfig of a cluster elsewhere")
	// What a kubelet serves: the apiserver asks there for logs, exec and port-forward.
	fs.String("bind-address", "127.0.0.1", "address to answer the apiserver on")
	fs.Int("secure-port", 10250, "port to answer the apiserver on; 0 for none")
	s.AddFlagGroup("executor", fs)
}

func (e *executor) defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if !p.Selected("apiserver") {
		return nil
	}
	return s.Default("kubeconfig", cluster.KubeconfigPath(p, Name))
}

// maxNodes is more than one process can play: at ten thousand, kwok and the controllers only follow each other's changes.
const maxNodes = 10_000

func (e *executor) check(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) error {
	if e.nodes < 0 || e.nodes > maxNodes {
		return fmt.Errorf("executor: --executor.nodes=%d: use a number from 0 to %d", e.nodes, maxNodes)
	}
	if e.zones < 1 || e.zones > 26 {
		return fmt.Errorf("executor: --executor.node-zones=%d: use a number from 1 to 26", e.zones)
	}
	for _, name := range []string{e.nodeName(1), e.nodeName(max(1, e.nodes))} {
		if why := nameErrors(name); len(why) > 0 {
			return fmt.Errorf("executor: --executor.node-prefix=%q: %q is no name for a node: %s", e.prefix, name, strings.Join(why, "; "))
		}
	}
	for key, value := range e.labels {
		set := labels.Set{key: value}
		if _, err := set.AsValidatedSelector(); err != nil {
			return fmt.Errorf("executor: --executor.node-labels: %w", err)
		}
	}
	if _, err := e.resources(); err != nil {
		return fmt.Errorf("executor: --executor.node-capacity: %w", err)
	}
	prefix, err := netip.ParsePrefix(e.podCIDR)
	switch {
	case err != nil:
		return fmt.Errorf("executor: --executor.pod-cidr: %w", err)
	case !prefix.Addr().Is4():
		return fmt.Errorf("executor: --executor.pod-cidr=%s: only IPv4 is simulated", e.podCIDR)
	case prefix.Bits() > 24 || 1<<(24-prefix.Bits()) < e.nodes:
		return fmt.Errorf("executor: --executor.pod-cidr=%s has no /24 for each of %d nodes: use a larger range", e.podCIDR, e.nodes)
	}
	return cluster.CheckKubeconfig(s)
}

func (e *executor) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	process.WrapSlog(func(h slog.Handler) slog.Handler { return forgiving{h} })
	return e.cluster.PrepareClient(ctx, p, s)
}

func (e *executor) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	kubeconfig := s.Value("kubeconfig")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // the nodes are many, and only follow what others ask for
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	port, serve, err := e.kubelet(s)
	if err != nil {
		return err
	}
	if err := ensureStages(ctx, config); err != nil {
		return fmt.Errorf("the Stages of kwok cannot be made: %w", err)
	}
	if err := e.ensureNodes(ctx, client, port); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	if serve != nil {
		go func() { failed <- serve(ctx) }()
	}
	if err := play(ctx, kubeconfig, e.podCIDR, port); err != nil {
		return err
	}
	defer e.started.Put(client)()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// ready waits until all nodes are Ready.
func (e *executor) ready(ctx context.Context, _ *supervisor.Server) error {
	client, err := e.started.Get(ctx)
	if err != nil {
		return err
	}
	return waitFor(ctx, func(ctx context.Context) (bool, error) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: ourLabel, ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		ready := map[string]bool{}
		for _, n := range nodes.Items {
			ready[n.Name] = isReady(&n)
		}
		for n := range e.nodes {
			if !ready[e.nodeName(n+1)] {
				return false, nil
			}
		}
		return true, nil
	})
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
