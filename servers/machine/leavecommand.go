package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/kubernetes/pkg/util/node"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// leaveTime is how long etcd may take to let a member go.
const leaveTime = time.Minute

// LeaveCommand is `km leave`.
func LeaveCommand() *supervisor.Command {
	flags := pflag.NewFlagSet("leave", pflag.ContinueOnError)
	yes := flags.BoolP("yes", "y", false, "do not ask")
	return &supervisor.Command{
		Name:  "leave",
		Args:  "MACHINE",
		Short: "take a machine out of the cluster, for good",
		Long: "Take a machine out of the cluster for good, as `PROGRAM status` names it: its member of etcd is removed, and its nodes are deleted. It is called on " +
			"a machine with a control plane, about any machine: this one, of which the run is stopped first, another one that is stopped, or one that has died " +
			"and does not come back. Where a member is missing that would have to agree, nothing is changed.\n\n" +
			"The data folder of a machine that has left is of no use any more: `PROGRAM reset` deletes it there, and the machine can join again with a new token.",
		Flags: flags,
		Complete: func(*supervisor.HyperKube, []string) []string {
			return []string{}
		},
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			if len(args) != 1 {
				return &supervisor.ExitError{Code: 2, Err: fmt.Errorf("leave takes the name of a machine, as `%s` shows it", p.Command("status"))}
			}
			process.DropClientLogs()
			l := &leaving{controlPlane: controlPlane{hk: hk, plan: p}, name: args[0], yes: *yes}
			if err := l.connect(ctx); err != nil {
				return err
			}
			return l.leave(ctx)
		},
	}
}

// leaving is a machine on its way out.
type leaving struct {
	controlPlane
	name string
	yes  bool
}

func (l *leaving) leave(ctx context.Context) error {
	machines, err := List(ctx, l.client)
	if err != nil {
		return err
	}
	nodes, err := nodesOf(ctx, l.client, l.name)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(machines, func(m Machine) bool { return m.Name == l.name })
	if at < 0 {
		return l.leaveNode(ctx, nodes)
	}
	return l.leaveControlPlane(ctx, machines, machines[at], nodes)
}

// leaveNode deletes the nodes of a machine without a control plane.
func (l *leaving) leaveNode(ctx context.Context, nodes []corev1.Node) error {
	if len(nodes) == 0 {
		return fmt.Errorf("there is no machine %s in the cluster: see `%s`", l.name, l.plan.Command("status"))
	}
	for _, node := range nodes {
		if nodeutil.IsNodeReady(&node) {
			return fmt.Errorf("the node %s is Ready: stop km on that machine first, or it would make its node again", node.Name)
		}
	}
	if err := l.confirm(ctx, fmt.Sprintf("The nodes of %s are deleted, with the pods on them: %s.", l.name, namesOf(nodes))); err != nil {
		return err
	}
	if err := deleteNodes(ctx, l.client, nodes); err != nil {
		return err
	}
	fmt.Fprintf(l.hk.Out(), "%s has left the cluster; delete its data folder there with `%s`\n", l.name, cluster.Elsewhere("reset"))
	return nil
}

// leaveControlPlane removes the member of etcd of a machine, and what else there is of it.
func (l *leaving) leaveControlPlane(ctx context.Context, machines []Machine, m Machine, nodes []corev1.Node) error {
	here := m.Address == l.server
	others := slices.DeleteFunc(slices.Clone(machines), func(other Machine) bool { return other.Name == m.Name })
	if len(others) == 0 {
		return fmt.Errorf("%s is the only machine with a control plane: `%s` deletes the cluster", m.Name, l.plan.Command("reset"))
	}
	if !here && m.Alive(time.Now()) {
		return fmt.Errorf("%s runs: stop km there first, or call `%s` there; if it has just died, wait %d seconds", m.Name, cluster.Elsewhere("leave", m.Name), leaseSeconds)
	}
	tls, err := cluster.EtcdTLS(l.plan)
	if err != nil {
		return err
	}
	var urls []string
	for _, other := range others {
		urls = append(urls, other.Etcd)
	}
	etcd, err := members.At(urls, tls, zap.NewNop())
	if err != nil {
		return err
	}
	if err := l.confirm(ctx, l.warning(m, nodes, here)); err != nil {
		return err
	}
	if err := l.removable(ctx, etcd, m.Name); err != nil {
		return err
	}
	client := l.client
	if here { // those of the others are asked when the own etcd is no member any more
		if client, err = l.clientOf(others); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	if err := etcd.Remove(ctx, m.Name); err != nil {
		return err
	}
	if here {
		// It ends by itself, as its etcd has been removed, or is about to.
		if err := l.hk.EndRun(ctx, l.plan); err != nil && !errors.Is(err, supervisor.ErrNotRunning) {
			return err
		}
	}
	if err := errors.Join(forget(ctx, client, m.Name), deleteNodes(ctx, client, nodes), deleteEndpoints(ctx, client, m.Name)); err != nil {
		return fmt.Errorf("its member of etcd is removed, but not all else: %w; call `%s` on another machine", err, cluster.Elsewhere("leave", m.Name))
	}
	if here {
		if err := l.markLeft(); err != nil {
			return err
		}
		fmt.Fprintf(l.hk.Out(), "%s has left the cluster; delete its data folder with `%s`\n", m.Name, l.plan.Command("reset"))
		return nil
	}
	fmt.Fprintf(l.hk.Out(), "%s has left the cluster; delete its data folder there with `%s`, if it comes back\n", m.Name, cluster.Elsewhere("reset"))
	return nil
}

// warning says what is about to happen.
func (l *leaving) warning(m Machine, nodes []corev1.Node, here bool) string {
	text := fmt.Sprintf("%s leaves the cluster: its member of etcd is removed", m.Name)
	if len(nodes) > 0 {
		text += ", and its nodes are deleted: " + namesOf(nodes)
	}
	text += "."
	if here {
		text += " The run on this machine ends, and what is in " + l.plan.DataDir + " is of no use any more."
	}
	return text
}

// removable reports why a member cannot be removed, before anything is stopped.
func (l *leaving) removable(ctx context.Context, etcd *members.Members, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	all, err := etcd.List(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(m members.Member) bool { return m.Name == name })
	if at < 0 {
		return nil // it has been removed already
	}
	if after := members.QuorumOf(all).Removed(all[at]); !after.There() {
		return fmt.Errorf("without %s too few members of etcd would answer (%s): start the others first", name, after)
	}
	return nil
}

func (l *leaving) confirm(ctx context.Context, what string) error {
	if l.yes {
		return nil
	}
	return l.hk.Confirm(ctx, []string{what}, "changed")
}

// clientOf is a client of the apiserver of another machine.
func (l *leaving) clientOf(others []Machine) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.KubeconfigPath(l.plan, cluster.Admin))
	if err != nil {
		return nil, err
	}
	config.Timeout = answerTime
	for _, m := range others {
		config := rest.CopyConfig(config)
		config.Host = "https://" + m.Address
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		if _, err := client.Discovery().ServerVersion(); err == nil {
			return client, nil
		}
	}
	return nil, errors.New("no apiserver of the other machines answers: start one, or nothing would be left of the cluster")
}

// markLeft notes that what is in the data folder is of no use any more.
func (l *leaving) markLeft() error {
	m, err := cluster.ReadMembership(l.plan)
	if err != nil {
		return err
	}
	if m == nil {
		m = &cluster.Membership{Role: cluster.ControlPlane, APIServers: []string{l.server}}
	}
	m.Left = true
	return m.Write(l.plan)
}

// nodesOf are the nodes of a machine: that of its name, and those that it simulates.
func nodesOf(ctx context.Context, client kubernetes.Interface, machine string) ([]corev1.Node, error) {
	all, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Items, func(n corev1.Node) bool { return machineOfNode(&n) != machine }), nil
}

// machineOfNode is the name of the machine that a node is, or that simulates it.
func machineOfNode(n *corev1.Node) string {
	return cmp.Or(n.Labels[cluster.MachineLabel], n.Annotations[cluster.MachineLabel], n.Name)
}

func namesOf(nodes []corev1.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}

func deleteNodes(ctx context.Context, client kubernetes.Interface, nodes []corev1.Node) error {
	var errs []error
	for _, n := range nodes {
		if err := client.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// deleteEndpoints has no Service lead to servers of the machine any more, as that of the cluster's DNS servers does.
func deleteEndpoints(ctx context.Context, client kubernetes.Interface, machine string) error {
	return client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: labels.SelectorFromValidatedSet(labels.Set{cluster.MachineLabel: machine}).String()})
}
