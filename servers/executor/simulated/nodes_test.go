package simulated

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func newNodes(count int) *Nodes {
	ns := New(nil)
	ns.Count, ns.Prefix, ns.Zones, ns.PodCIDR = count, "node-", 1, DefaultPodCIDR
	return ns
}

// Nodes of an earlier run that are too many are deleted, and no others: not another executor's, nor somebody else's,
// even if kwok plays them. No two have the same range of addresses for pods.
func TestNodesThatAreTooMany(t *testing.T) {
	ctx, client := t.Context(), fake.NewClientset()
	fakes := map[string]string{fakeAnnotation: "fake"}
	for _, meta := range []metav1.ObjectMeta{
		{Name: "other-2", Annotations: fakes, Labels: map[string]string{ourLabel: "true"}},
		{Name: "node-07", Annotations: fakes, Labels: map[string]string{ourLabel: "true"}},
		{Name: "node-8", Annotations: fakes},
		{Name: "node-x"},
	} {
		if _, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	others := []string{"node-07", "node-8", "node-x", "other-2"}
	for _, test := range []struct {
		count int
		want  []string
	}{
		{3, []string{"node-1", "node-2", "node-3"}}, {1, []string{"node-1"}}, {2, []string{"node-1", "node-2"}}, {0, nil},
	} {
		if err := newNodes(test.count).ensureNodes(ctx, client, 0); err != nil {
			t.Fatal(err)
		}
		all, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		ranges := map[string]string{}
		for _, node := range all.Items {
			names = append(names, node.Name)
			if cidr := node.Spec.PodCIDR; cidr != "" {
				if ranges[cidr] != "" {
					t.Errorf("%s and %s have the range %s", ranges[cidr], node.Name, cidr)
				}
				ranges[cidr] = node.Name
			}
		}
		slices.Sort(names)
		want := slices.Sorted(slices.Values(slices.Concat(test.want, others)))
		if !slices.Equal(names, want) || len(ranges) != test.count {
			t.Errorf("%d nodes: there are %v with %d ranges, want %v", test.count, names, len(ranges), want)
		}
	}
}

// The executor is ready when the last of its nodes is. Other nodes do not matter.
func TestReadyWithTheLastNode(t *testing.T) {
	ctx, client, ns := t.Context(), fake.NewClientset(), newNodes(2)
	want := func(want bool) {
		t.Helper()
		if ready, err := ns.allReady(ctx, client); ready != want || err != nil {
			t.Errorf("ready: %v, want %v (%v)", ready, want, err)
		}
	}
	want(false)
	if err := newNodes(3).ensureNodes(ctx, client, 0); err != nil {
		t.Fatal(err)
	}
	want(false)
	set := func(name string, status corev1.ConditionStatus) {
		t.Helper()
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	set("node-1", corev1.ConditionTrue)
	set("node-3", corev1.ConditionTrue)
	want(false)
	set("node-2", corev1.ConditionUnknown)
	want(false)
	set("node-2", corev1.ConditionTrue)
	want(true)
}
