// Package simulated plays nodes: kwok's controllers make pods Running and Ready on them, give them addresses, complete
// and delete them, but no container runs. What pods do is said in its package pod.
package simulated

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/kubernetes/pkg/util/node"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/executor/simulated/pod"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/servers/storage"
	"github.com/seed-200a7251/km/servers/versions"
	"github.com/seed-200a7251/km/supervisor"
)

// Nodes are the simulated nodes of an executor. The exported fields are what its flags say.
type Nodes struct {
	Cluster *cluster.Cluster
	// Count is how many there are. Those of an earlier run with higher numbers are deleted.
	Count int
	// Prefix is the beginning of their names; a number from 1 on follows.
	Prefix string
	// Capacity is what each has for pods, such as cpu=8,memory=32Gi. What it does not name is this machine's.
	Capacity string
	// Labels are added to those that each node has.
	Labels map[string]string
	// Zones is the number of topology zones over which they are spread.
	Zones int
	// PodCIDR is the range of the pods' addresses, of which each node has a /24.
	PodCIDR string
	// Volumes says whether claims of the StorageClass standard get simulated volumes.
	Volumes bool
	// Machine is the name of this machine, if it has joined a cluster: it plays the nodes of that name only. Otherwise
	// it plays those of no machine.
	Machine string
	// Host is the name of this machine among others, if there may be some. It is an annotation of the nodes.
	Host string

	started supervisor.Handoff[*roll]
}

// DefaultPodCIDR has a /24 for each of maxNodes, and is apart from the range of Services.
const DefaultPodCIDR = "10.128.0.0/9"

// MachinePodCIDR is the range of a machine that has joined a cluster: a part of DefaultPodCIDR that goes by its name,
// so that pods of different machines have different addresses as a rule. It is enough for 256 nodes.
func MachinePodCIDR(machine string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(machine)) // it never fails
	return fmt.Sprintf("10.%d.0.0/16", 129+h.Sum32()%127)
}

// New returns simulated nodes without properties.
func New(c *cluster.Cluster) *Nodes {
	return &Nodes{Cluster: c, started: supervisor.NewHandoff[*roll]()}
}

// maxNodes is more than one process can play: at ten thousand, kwok and the controllers only follow each other's
// changes.
const maxNodes = 10_000

// Check looks for what is wrong with the flags: the fields, and what Labels and PodCIDR are going to be.
func (ns *Nodes) Check(nodeLabels map[string]string, podCIDR string) error {
	if ns.Count < 0 || ns.Count > maxNodes {
		return fmt.Errorf("executor: --executor.nodes=%d: use a number from 0 to %d", ns.Count, maxNodes)
	}
	if ns.Zones < 1 || ns.Zones > 26 {
		return fmt.Errorf("executor: --executor.node-zones=%d: use a number from 1 to 26", ns.Zones)
	}
	for _, name := range []string{ns.nodeName(1), ns.nodeName(max(1, ns.Count))} {
		if why := nameErrors(name); len(why) > 0 {
			return fmt.Errorf("executor: --executor.node-prefix=%q: %q is no name for a node: %s", ns.Prefix, name, strings.Join(why, "; "))
		}
	}
	for key, value := range nodeLabels {
		set := labels.Set{key: value}
		if _, err := set.AsValidatedSelector(); err != nil {
			return fmt.Errorf("executor: --executor.node-labels: %w", err)
		}
	}
	if _, err := ns.resources(); err != nil {
		return fmt.Errorf("executor: --executor.node-capacity: %w", err)
	}
	prefix, err := netip.ParsePrefix(podCIDR)
	switch {
	case err != nil:
		return fmt.Errorf("executor: --executor.pod-cidr: %w", err)
	case !prefix.Addr().Is4():
		return fmt.Errorf("executor: --executor.pod-cidr=%s: only IPv4 is simulated", podCIDR)
	case prefix.Bits() > 24 || 1<<(24-prefix.Bits()) < ns.Count:
		return fmt.Errorf("executor: --executor.pod-cidr=%s has no /24 for each of %d nodes: use a larger range", podCIDR, ns.Count)
	}
	return nil
}

// Prepare belongs before the first server's start.
func (ns *Nodes) Prepare() error {
	forgive()
	return knowPods()
}

// knowPods has Stages know what pods do next, which is once for a process.
var knowPods = sync.OnceValue(func() error { return process.AddStageFunctions(pod.Expressions) })

// userAgent is how the executor's clients present themselves.
func userAgent() string { return manager + "/" + versions.Kubernetes() }

// Run plays the nodes until ctx ends.
func (ns *Nodes) Run(ctx context.Context, s *supervisor.Server) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.Value("kubeconfig"))
	if err != nil {
		return err
	}
	config.QPS = -1 // the nodes are many, and only follow what others ask for
	config.UserAgent = userAgent()
	compact := rest.CopyConfig(config) // Stages have no such form
	compact.ContentType, compact.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(compact)
	if err != nil {
		return err
	}
	port, serve, err := ns.endpoint(s, client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	beside := func(f func(context.Context) error) {
		g.Go(func() error {
			if err := s.Guard(func() error { return f(ctx) }); ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	if serve != nil {
		beside(serve)
	}
	class := make(chan error, 1)
	if ns.Volumes {
		go func() { class <- s.Guard(func() error { return storage.EnsureClass(ctx, client) }) }()
	}
	nodesFor := func(ctx context.Context) error {
		if err := ns.tryBeat(ctx, client); err != nil {
			return err
		}
		return ns.ensureNodes(ctx, client, port, func(ctx context.Context) (bool, error) { return nodeStagesAreOurs(ctx, config) })
	}
	outdated := false // the nodes are those of before, as etcd is full
	if err := ns.Cluster.Insist(ctx, s, func(ctx context.Context) error {
		if err := makeStages(ctx, config); err != nil {
			return fmt.Errorf("the Stages of kwok cannot be made: %w", err)
		}
		err := nodesFor(ctx)
		if cluster.Full(err) {
			if ready, errReady := ns.allReady(ctx, client); errReady == nil && ready {
				outdated = true
				return nil
			}
		}
		return err
	}); err != nil {
		return err
	}
	if outdated {
		s.Slog().Info("the nodes are brought up to date when etcd is not full any more")
		beside(func(ctx context.Context) error { return cluster.WhileFull(ctx, nodesFor) })
	}
	recovery, leases := newRecovery(s, client), newLeases(ctx, client, s.Slog(), s.Fail)
	roll := ns.newRoll()
	nodes := follow(ctx, filtered[*corev1.NodeList]{client.CoreV1().Nodes(), ns.selector()},
		func(n *corev1.Node) { leases.changed(n); recovery.changed(n); roll.changed(n) },
		func(n *corev1.Node) { leases.deleted(n); recovery.deleted(n); roll.deleted(n) })
	beside(recovery.run)
	for range ns.workers() {
		beside(leases.work)
	}
	addresses := newAddresses(client, nodes, ns.PodCIDR)
	play := func() (end context.CancelFunc, err error) {
		ctx, end := context.WithCancel(ctx)
		return end, ns.play(ctx, s, addresses.functions(ctx), port)
	}
	end, err := play()
	if err != nil {
		end()
		return err
	}
	beside(func(ctx context.Context) error {
		for {
			err := whileStages(ctx, config)
			end()
			if !errors.Is(err, errLost) {
				return err
			}
			s.Slog().Info("they are made anew", "reason", err)
			if err := again(ctx, config); err != nil {
				return err
			}
			if end, err = play(); err != nil {
				end()
				return err
			}
		}
	})
	if ns.Volumes {
		err := <-class
		if cluster.Refused(err) || apierrors.IsForbidden(err) {
			err = ns.Cluster.Insist(ctx, s, func(ctx context.Context) error { return storage.EnsureClass(ctx, client) })
		}
		if err != nil {
			return err
		}
		beside(newVolumes(s, client, nodes).run)
	}
	defer ns.started.Put(roll)()
	return g.Wait()
}

// again has Stages where they have been deleted, for another kwok to play.
func again(ctx context.Context, config *rest.Config) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(quiet):
	}
	if err := makeStages(ctx, config); err != nil {
		return fmt.Errorf("%w, and cannot be made anew: %w", errLost, err)
	}
	return nil
}

// Ready waits until all nodes are Ready.
func (ns *Nodes) Ready(ctx context.Context) error {
	roll, err := ns.started.Get(ctx)
	if err != nil {
		return err
	}
	select {
	case <-roll.complete:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roll knows which of the nodes are not Ready.
type roll struct {
	complete chan struct{} // closed when all have been Ready at the same time
	finish   func()        // closes it, once

	mu      sync.Mutex
	missing map[string]bool // false for those that are Ready
	n       int             // how many are not
}

func (ns *Nodes) newRoll() *roll {
	r := &roll{complete: make(chan struct{}), missing: map[string]bool{}, n: ns.Count}
	r.finish = sync.OnceFunc(func() { close(r.complete) })
	for n := range ns.Count {
		r.missing[ns.nodeName(n+1)] = true
	}
	if r.n == 0 {
		r.finish()
	}
	return r
}

// changed is told of each node that is there, or has changed.
func (r *roll) changed(node *corev1.Node) {
	r.note(node.Name, !nodeutil.IsNodeReady(node) || node.Labels[ourLabel] == "")
}

// deleted is told of each node that goes.
func (r *roll) deleted(node *corev1.Node) { r.note(node.Name, true) }

func (r *roll) note(name string, missing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, ours := r.missing[name]
	if !ours || before == missing {
		return
	}
	r.missing[name] = missing
	if missing {
		r.n++
		return
	}
	if r.n--; r.n == 0 {
		r.finish()
	}
}

// allReady reports whether all nodes are Ready.
func (ns *Nodes) allReady(ctx context.Context, client kubernetes.Interface) (bool, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: ourLabel, ResourceVersion: "0"})
	if err != nil {
		return false, err
	}
	ready := map[string]bool{}
	for _, n := range nodes.Items {
		ready[n.Name] = nodeutil.IsNodeReady(&n)
	}
	for n := range ns.Count {
		if !ready[ns.nodeName(n+1)] {
			return false, nil
		}
	}
	return true, nil
}
