package machine

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd/members"
)

// What is said of etcd is how many members may stop.
func TestDetailsOfEtcd(t *testing.T) {
	const ready, lone, silent, learner = "ready", "lone", "silent", "learner"
	for _, test := range []struct {
		members []string
		etcd    string // of each machine
		want    string
	}{
		{nil, "", ""},
		{[]string{ready}, "leader", ""},
		{[]string{silent}, "does not answer", "etcd has no quorum: 0 of 1 members answer, and 1 are needed. Nothing can be written until more are started."},
		{[]string{ready, ready}, "leader member", "etcd has a quorum of 2 members, and no more may stop. With a third machine one may."},
		{[]string{lone, silent}, "has no leader,does not answer", "etcd has no quorum: 1 of 2 members answer, and 2 are needed. Nothing can be written until more are started."},
		{[]string{ready, ready, ready}, "leader member member", "etcd has a quorum, of 3 members 1 may stop."},
		{[]string{ready, ready, silent}, "leader member,does not answer", "etcd has a quorum of 3 members, and no more may stop."},
		{[]string{ready, learner}, "leader learner", ""},
	} {
		o := &Overview{}
		var all []members.Member
		for i, state := range test.members {
			name := string(rune('a' + i))
			o.Machines = append(o.Machines, MachineStatus{Name: name, Role: cluster.ControlPlane, State: "ready"})
			all = append(all, members.Member{
				Name: name, Leader: i == 0 && state == ready, Learner: state == learner,
				Answers: state != silent, Healthy: state == ready || state == learner,
			})
		}
		o.addMembers(all)
		d := o.details()
		if got := strings.Join(d.Notes, "\n"); got != test.want {
			t.Errorf("%q: %q, want %q", test.members, got, test.want)
		}
		var etcd []string
		for i, row := range d.Rows {
			etcd = append(etcd, row[slices.Index(d.Heads, "ETCD")])
			if state := row[slices.Index(d.Heads, "STATE")]; (state == "ready") != (test.members[i] == ready || test.members[i] == learner) {
				t.Errorf("%q: machine %d is %s", test.members, i, state)
			}
		}
		if got, want := strings.Join(etcd, " "), strings.ReplaceAll(test.etcd, ",", " "); got != want {
			t.Errorf("%q: %q, want %q", test.members, got, want)
		}
	}
}

// Where a part of it is missing, the rest is shown, and why.
func TestDetailsOfProblem(t *testing.T) {
	o := &Overview{Problem: "the apiserver does not answer"}
	o.addMembers([]members.Member{{ID: 0xab, Answers: true, Healthy: true, Leader: true}})
	d := o.details()
	if want := []string{"the apiserver does not answer"}; !slices.Equal(d.Notes, want) {
		t.Errorf("%q, want %q", d.Notes, want)
	}
	want := [][]string{{"ab", cluster.ControlPlane, "unknown", "leader", "", "", "", ""}}
	if diff := cmp.Diff(want, d.Rows); diff != "" {
		t.Error(diff)
	}
}

func nodeOf(name, address string, ready bool, labels, annotations map[string]string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations}}
	n.Status.NodeInfo.KubeletVersion = "v1.37.2"
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: address}}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	return n
}

// Nodes are shown with their machines: that of their name, or that which simulates them.
func TestNodesOfMachines(t *testing.T) {
	on := map[string]string{cluster.MachineLabel: "second"}
	o := &Overview{Machines: []MachineStatus{{Name: "first", Role: cluster.ControlPlane, State: "ready", Address: "192.168.1.1"}}}
	for _, n := range []*corev1.Node{
		nodeOf("first", "10.0.0.1", false, nil, nil),
		nodeOf("second-1", "10.0.0.2", true, on, nil),
		nodeOf("second-2", "10.0.0.3", true, nil, on),
		nodeOf("third", "192.168.1.3", false, nil, nil),
		nodeOf("fourth", "192.168.1.4", true, nil, nil),
	} {
		o.addNode(n)
	}
	want := []MachineStatus{
		{Name: "first", Role: cluster.ControlPlane, State: "ready", Address: "192.168.1.1", Nodes: []string{"first"}},
		{Name: "second", Role: cluster.RoleNode, State: "ready", Kubernetes: "v1.37.2", Nodes: []string{"second-1", "second-2"}},
		{Name: "third", Role: cluster.RoleNode, State: "not ready", Kubernetes: "v1.37.2", Address: "192.168.1.3", Nodes: []string{"third"}},
		{Name: "fourth", Role: cluster.RoleNode, State: "ready", Kubernetes: "v1.37.2", Address: "192.168.1.4", Nodes: []string{"fourth"}},
	}
	if diff := cmp.Diff(want, o.Machines); diff != "" {
		t.Error(diff)
	}
}
