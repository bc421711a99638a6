// Package executor is the executor: the nodes on which pods run. They are simulated, or the machine is one: with
// --executor.runtime=cri the kubelet runs real containers.
package executor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/executor/cri"
	"github.com/seed-200a7251/km/servers/executor/simulated"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// upstream is the name of the component's own binary.
const upstream = "kubelet"

// RealContainers is the way to them.
var RealContainers = supervisor.Way{Name: "real containers", Args: []string{"--" + names.Executor + "." + cluster.RuntimeFlag + "=" + cluster.CRI}}

// identity plays all simulated nodes: it may do what a kubelet may, for all of them, and what kwok's Stages and volumes
// take. A real node is another user (cluster.EnsureNodeKubeconfig).
var identity = cluster.Identity{OnNodes: true, Rules: []rbacv1.PolicyRule{
	{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	{APIGroups: []string{""}, Resources: []string{"nodes/status", "pods/status"}, Verbs: []string{"update", "patch"}},
	{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch", "update", "patch", "delete"}},
	{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
	{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: []string{"get", "create"}},
	{APIGroups: []string{"kwok.x-k8s.io"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create", "patch"}},
	// Claims of simulated pods get simulated volumes.
	{APIGroups: []string{""}, Resources: []string{"persistentvolumes"}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"}},
	{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims/status"}, Verbs: []string{"patch"}},
	{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"storageclasses"}, Verbs: []string{"get", "list", "create"}},
}, Namespaced: []cluster.NamespacedRules{{Namespace: corev1.NamespaceNodeLease, Rules: []rbacv1.PolicyRule{
	{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
}}}}

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	e := &executor{cluster: c, simulated: simulated.New(c), cri: cri.New(c)}
	return &supervisor.Server{
		SimpleUsage: names.Executor,
		Aliases:     []string{upstream},
		Long: "The nodes. Beside others they are simulated: pods become Running and Ready on them, get addresses, complete, and " +
			"are deleted, but no container runs. How they behave is said by Stages of kwok (kwok.x-k8s.io), objects in the cluster " +
			"that can be changed and added to. With --executor.runtime=cri this machine is the node: the kubelet runs the pods' " +
			"containers with a container runtime such as containerd. Called by its name, it is the kubelet.",
		AddFlags:      e.addFlags,
		ProcessFlags:  component.ProcessFlags,
		VerbosityFlag: "v",
		VModuleFlag:   "vmodule",
		LevelWarning:  component.LevelWarning,
		FlagValues:    component.FlagValues(values),
		Packages:      []string{"sigs.k8s.io/kwok", "k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/pkg/kubelet", "github.com/google/cadvisor"},
		Needs: []supervisor.Need{
			{Server: names.APIServer, Unless: []string{"kubeconfig", component.JoinFlag}},
			{Server: names.DNS, Unless: []string{"kubeconfig", "cluster-dns"}, When: cluster.IsReal, Beside: names.APIServer},
			{Server: names.Storage, Unless: []string{"kubeconfig"}, When: cluster.IsReal},
			cluster.AfterMachine,
		},
		State:    append(state(), c.Identify(names.Executor, identity)...),
		Defaults: e.defaults,
		Check:    e.check,
		Ports:    []supervisor.Port{{HostFlag: "address", PortFlag: "port", ZeroIsNone: true}},
		Prepare:  e.prepare,
		Run:      e.run,
		Ready:    e.ready,
		Address:  e.address,
		Main: component.Main(upstream, func() *cobra.Command {
			return app.NewKubeletCommand(context.Background())
		}),
		// The containers have their own grace periods to end in.
		GracePeriod: cri.GracePeriod,
		// The loops and listeners of the kubelet go on when it has been stopped, and its metrics are registered for the
		// process.
		StartsOnce: cluster.IsReal,
	}
}

// values are those of flags whose usage has no list of them.
var values = map[string][]string{cluster.RuntimeFlag: {cluster.Simulated + "\tnothing runs", cluster.CRI + "\ta container runtime of this machine"}}

type executor struct {
	cluster   *cluster.Cluster
	simulated *simulated.Nodes
	cri       *cri.Node
	forget    string // kubeconfig by which simulated nodes are deleted, if that is this km's business
}

// Flags that say something about simulated nodes alone, and those of the kubelet's that say something about them, too.
var (
	simulatedFlags = []string{"nodes", "node-prefix", "node-capacity", "node-zones"}
	sharedFlags    = []string{cluster.RuntimeFlag, "node-labels", "pod-cidr", "kubeconfig", "address", "port", "v", "vmodule", "feature-gates", "oom-score-adj", component.HardenedFlag, component.JoinFlag, "hostname-override"}
)

func (e *executor) addFlags(s *supervisor.Server) {
	own := pflag.NewFlagSet(names.Executor, pflag.ContinueOnError)
	own.String(cluster.RuntimeFlag, cluster.Simulated, "what runs the pods: simulated, or cri for the containers of a runtime on this machine")
	n := e.simulated
	own.IntVar(&n.Count, "nodes", 1, "number of simulated nodes; those of an earlier run with higher numbers are deleted")
	own.StringVar(&n.Prefix, "node-prefix", "node-", "beginning of the simulated nodes' names; a number from 1 on follows")
	own.StringVar(&n.Capacity, "node-capacity", "", "what each simulated node has for pods, such as cpu=8,memory=32Gi,pods=110 (default: this machine's CPUs and memory, and 110 pods)")
	own.IntVar(&n.Zones, "node-zones", 1, "number of topology zones; the simulated nodes are spread over them")
	s.AddFlagGroup(names.Executor, own)
	kubelet, err := options.NewKubeletServer()
	if err != nil {
		panic(err) // its own defaults are wrong
	}
	s.AddFlagGroup(upstream, cri.Flags(kubelet))
	component.AddHardened(s)
	component.AddJoin(s)
}

// state is what a kubelet has in the data folder, and what containers write.
func state() []string {
	names := []string{"pod-logs/*_*_*"}
	for _, name := range []string{
		"pods", "pods-api", "plugins", "plugins_registry", "pod-resources", "device-plugins", "checkpoints", "pki", "volume-plugins", "cluster-ca.crt", ".cluster-ca.crt[0-9]*",
		"cpu_manager_state", "memory_manager_state", "dra_manager_state", "actuated_pods_state", "allocated_pods_state", "pod_status_manager_state", "image_manager",
		".image_gc*", "userns", ".[0-9]*", // what it writes, before that has its name
	} {
		names = append(names, "kubelet/"+name)
	}
	return names
}

func (e *executor) defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if cluster.IsReal(s) {
		return cri.Defaults(p, s)
	}
	pairs := []string{"address", "127.0.0.1"}
	if s.Given(component.JoinFlag) { // the nodes of each machine have names of their own
		name, err := cluster.MachineName(p)
		if err != nil {
			return err
		}
		pairs = append(pairs, "node-prefix", name+"-", "pod-cidr", simulated.MachinePodCIDR(name))
	} else {
		pairs = append(pairs, "pod-cidr", simulated.DefaultPodCIDR)
	}
	if cluster.HasKubeconfigs(p) {
		pairs = append(pairs, "kubeconfig", cluster.KubeconfigPath(p, names.Executor))
	}
	return s.Default(pairs...)
}

func (e *executor) check(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := cluster.CheckJoin(p, s); err != nil {
		return err
	}
	if err := component.RefuseLogFlags(s, component.LogFlags...); err != nil {
		return err
	}
	if err := component.RefuseEnding(s, upstream, "version"); err != nil {
		return err
	}
	switch runtime := s.Value(cluster.RuntimeFlag); runtime {
	case cluster.Simulated:
		if err := refuse(s, func(flag string) bool {
			return !slices.Contains(simulatedFlags, flag) && !slices.Contains(sharedFlags, flag)
		}, "is for real nodes: add --executor.runtime=cri, or leave it out"); err != nil {
			return err
		}
		kubelet, err := cri.NewFlags(s)
		if err != nil {
			return err
		}
		if err := e.simulated.Check(kubelet.NodeLabels, kubelet.PodCIDR); err != nil {
			return err
		}
		return cluster.CheckKubeconfig(s)
	case cluster.CRI:
		if err := refuse(s, func(flag string) bool { return slices.Contains(simulatedFlags, flag) },
			"is for simulated nodes: leave it, or --executor.runtime=cri, out"); err != nil {
			return err
		}
		return e.cri.Check(ctx, p, s)
	default:
		return fmt.Errorf("executor: --executor.runtime=%s: there are simulated and cri", runtime)
	}
}

// refuse returns an error if the user gave a flag that is of no use here.
func refuse(s *supervisor.Server, useless func(flag string) bool, why string) error {
	var found []string
	s.Flags().VisitAll(func(f *pflag.Flag) {
		if s.Given(f.Name) && useless(f.Name) {
			found = append(found, "--executor."+f.Name)
		}
	})
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("executor: %s %s", strings.Join(found, ", "), why)
}

func (e *executor) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := e.cluster.PrepareClient(ctx, p, s); err != nil {
		return err
	}
	if p.Selected(names.Machine) {
		name, err := cluster.MachineName(p)
		if err != nil {
			return err
		}
		if e.simulated.Host = name; s.Given(component.JoinFlag) {
			e.simulated.Machine = name
		}
	}
	if cluster.IsReal(s) {
		e.forget = ""
		if p.Selected(names.APIServer) {
			e.forget = cluster.KubeconfigPath(p, names.Executor)
		}
		return e.cri.Prepare(p, s)
	}
	kubelet, err := cri.NewFlags(s)
	if err != nil {
		return err
	}
	e.simulated.Labels, e.simulated.PodCIDR = kubelet.NodeLabels, kubelet.PodCIDR
	e.simulated.Volumes = p.Selected(names.APIServer) // a cluster elsewhere has its own
	return e.simulated.Prepare()
}

func (e *executor) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	if cluster.IsReal(s) {
		if e.forget != "" {
			if err := e.cluster.Insist(ctx, s, func(ctx context.Context) error { return e.simulated.Forget(ctx, e.forget) }); err != nil {
				return fmt.Errorf("the nodes that were simulated before cannot be deleted: %w", err)
			}
		}
		return e.cri.Run(ctx, s)
	}
	return e.simulated.Run(ctx, s)
}

func (e *executor) ready(ctx context.Context, s *supervisor.Server) error {
	if cluster.IsReal(s) {
		return e.cri.Ready(ctx, s)
	}
	return e.simulated.Ready(ctx)
}

func (e *executor) address(s *supervisor.Server) string {
	switch {
	case cluster.IsReal(s):
		return e.cri.Address()
	case e.simulated.Count == 1:
		return "1 simulated node"
	}
	return fmt.Sprintf("%d simulated nodes", e.simulated.Count)
}
