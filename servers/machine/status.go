package machine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/kubernetes/pkg/util/node"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// statusTime is how long the cluster may take to tell of its machines: status is to be quick, also where it is broken.
const statusTime = 6 * time.Second

// Overview is what `km status` shows of all machines, on one with a control plane of a cluster that others can join.
type Overview struct {
	Machines []MachineStatus `json:"machines"`
	Etcd     *EtcdStatus     `json:"etcd,omitempty"`
	// Problem says why some of it is missing.
	Problem string `json:"problem,omitempty"`
}

// MachineStatus is one machine.
type MachineStatus struct {
	Name       string   `json:"name"`
	Role       string   `json:"role"`
	Address    string   `json:"address,omitempty"`
	KM         string   `json:"km,omitempty"`
	Kubernetes string   `json:"kubernetes,omitempty"`
	State      string   `json:"state"` // ready, or what is wrong
	Etcd       string   `json:"etcd,omitempty"`
	Leads      []string `json:"leads,omitempty"` // servers that lead there
	Nodes      []string `json:"nodes,omitempty"`
}

// EtcdStatus is how etcd's members are together.
type EtcdStatus struct {
	Voters    int  `json:"voters"`
	Needed    int  `json:"needed"`
	Answering int  `json:"answering"`
	Quorum    bool `json:"quorum"`
	// Spare is how many more members may stop before there is no quorum.
	Spare int `json:"spare"`
}

// Status is a supervisor.HyperKube's Details: it has nothing to tell of a run without this server, or on a node.
func Status(ctx context.Context, p *supervisor.Plan, status *supervisor.Status) *supervisor.Details {
	if status.Server(names.Machine) == nil || status.Server(names.APIServer) == nil {
		return nil
	}
	process.DropClientLogs()
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	o := &Overview{}
	var problems []string
	note := func(err error) {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	all, err := etcd.MembersOf(ctx, p)
	note(err)
	note(o.addMachines(ctx, p))
	o.addMembers(all)
	o.Problem = strings.Join(problems, "; ")
	return o.details()
}

// addMachines adds what the apiserver knows.
func (o *Overview) addMachines(ctx context.Context, p *supervisor.Plan) error {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.KubeconfigPath(p, cluster.Admin))
	if err != nil {
		return err
	}
	config.Timeout = statusTime
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	machines, err := List(ctx, client)
	if err != nil {
		return fmt.Errorf("the apiserver does not tell of the machines: %w", err)
	}
	for _, m := range machines {
		state := "ready"
		if !m.Alive(time.Now()) {
			state = "gone for " + duration.HumanDuration(time.Since(m.Seen))
		}
		o.Machines = append(o.Machines, MachineStatus{
			Name: m.Name, Role: cluster.ControlPlane, Address: hostOf(m.Address), KM: m.KM, Kubernetes: m.Kubernetes, State: state,
		})
	}
	for _, server := range []string{names.ControllerManager, names.Scheduler} {
		lease, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, "kube-"+server, metav1.GetOptions{})
		if err != nil {
			continue // nobody has led yet
		}
		holder, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
		if m := o.machine(holder); m != nil {
			m.Leads = append(m.Leads, server)
		}
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("the apiserver does not tell of the nodes: %w", err)
	}
	for i := range nodes.Items {
		o.addNode(&nodes.Items[i])
	}
	return nil
}

func (o *Overview) machine(name string) *MachineStatus {
	if i := slices.IndexFunc(o.Machines, func(m MachineStatus) bool { return m.Name == name }); i >= 0 {
		return &o.Machines[i]
	}
	return nil
}

// addNode adds a node to its machine, which may be one without a control plane.
func (o *Overview) addNode(n *corev1.Node) {
	name := machineOfNode(n)
	m := o.machine(name)
	if m == nil {
		o.Machines = append(o.Machines, MachineStatus{Name: name, Role: cluster.RoleNode, State: "ready", Kubernetes: n.Status.NodeInfo.KubeletVersion})
		m = &o.Machines[len(o.Machines)-1]
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && name == n.Name && m.Address == "" {
			m.Address = a.Address
		}
	}
	if !nodeutil.IsNodeReady(n) && m.Role == cluster.RoleNode {
		m.State = "not ready"
	}
	m.Nodes = append(m.Nodes, n.Name)
}

// addMembers adds what etcd's members say of themselves.
func (o *Overview) addMembers(all []members.Member) {
	if len(all) == 0 {
		return
	}
	for i := range all {
		member := &all[i]
		name := cmp.Or(member.Name, fmt.Sprintf("%x", member.ID))
		m := o.machine(name)
		if m == nil {
			o.Machines = append(o.Machines, MachineStatus{Name: name, Role: cluster.ControlPlane, State: "unknown"})
			m = &o.Machines[len(o.Machines)-1]
		}
		m.Etcd = "member"
		switch {
		case member.Leader:
			m.Etcd = "leader"
		case member.Learner:
			m.Etcd = "learner"
		}
		if !member.Healthy && m.State == "ready" {
			m.State = "not ready"
		}
		if !member.Healthy {
			m.Etcd = "does not answer"
			if member.Answers {
				m.Etcd = "has no leader"
			}
		}
	}
	q := members.QuorumOf(all)
	o.Etcd = &EtcdStatus{Voters: q.Voters, Needed: q.Needed, Answering: q.Answering, Quorum: q.There(), Spare: max(0, q.Healthy-q.Needed)}
}

// details are what is shown of it.
func (o *Overview) details() *supervisor.Details {
	d := &supervisor.Details{Name: "cluster", Value: o, Heads: []string{"MACHINE", "ROLE", "STATE", "ETCD", "LEADS", "NODES", "KUBERNETES", "ADDRESS"}}
	for _, m := range o.Machines {
		d.Rows = append(d.Rows, []string{m.Name, m.Role, m.State, m.Etcd, strings.Join(m.Leads, ","), strings.Join(m.Nodes, ","), m.Kubernetes, m.Address})
	}
	if e := o.Etcd; e != nil {
		switch {
		case !e.Quorum:
			d.Notes = append(d.Notes, fmt.Sprintf("etcd has no quorum: %d of %d members answer, and %d are needed. Nothing can be written until more are started.",
				e.Answering, e.Voters, e.Needed))
		case e.Voters == 1:
		case e.Spare == 0:
			d.Notes = append(d.Notes, fmt.Sprintf("etcd has a quorum of %d members, and no more may stop.%s", e.Voters, third(e.Voters)))
		default:
			d.Notes = append(d.Notes, fmt.Sprintf("etcd has a quorum, of %d members %d may stop.", e.Voters, e.Spare))
		}
	}
	if o.Problem != "" {
		d.Notes = append(d.Notes, o.Problem)
	}
	return d
}

// third says what two members lack.
func third(voters int) string {
	if voters == 2 {
		return " With a third machine one may."
	}
	return ""
}
