package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	nodeutil "k8s.io/kubernetes/pkg/util/node"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/yaml"
)

func newNodes(count int) *Nodes {
	ns := New(nil)
	ns.Count, ns.Prefix, ns.Zones, ns.PodCIDR = count, "node-", 1, DefaultPodCIDR
	return ns
}

// asStages says whether nodes are made as the Stages would leave them.
func asStages(ready bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return ready, nil }
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
		if err := newNodes(test.count).ensureNodes(ctx, client, 0, asStages(false)); err != nil {
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
	if err := newNodes(3).ensureNodes(ctx, client, 0, asStages(false)); err != nil {
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

// The nodes are Ready when all of them are at the same time, whatever others there are.
func TestRoll(t *testing.T) {
	node := func(name string, ready corev1.ConditionStatus, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	ours := map[string]string{ourLabel: "true"}
	isComplete := func(r *roll) bool {
		select {
		case <-r.complete:
			return true
		default:
			return false
		}
	}
	ns := &Nodes{Count: 2, Prefix: "n-"}
	r := ns.newRoll()
	for _, step := range []struct {
		node *corev1.Node
		gone bool
		want bool
	}{
		{node("n-1", corev1.ConditionTrue, ours), false, false},
		{node("n-3", corev1.ConditionTrue, ours), false, false}, // one too many
		{node("other", corev1.ConditionTrue, nil), false, false},
		{node("n-2", corev1.ConditionFalse, ours), false, false},
		{node("n-1", corev1.ConditionTrue, ours), true, false},
		{node("n-2", corev1.ConditionTrue, ours), false, false},
		{node("n-2", corev1.ConditionTrue, ours), false, false},
		{node("n-1", corev1.ConditionTrue, nil), false, false}, // of somebody else
		{node("n-1", corev1.ConditionTrue, ours), false, true},
		{node("n-1", corev1.ConditionUnknown, ours), false, true}, // it has been
		{node("n-1", corev1.ConditionTrue, ours), false, true},
	} {
		if step.gone {
			r.deleted(step.node)
		} else {
			r.changed(step.node)
		}
		if got := isComplete(r); got != step.want {
			t.Errorf("after %s, %v: complete is %v", step.node.Name, step.node.Status.Conditions, got)
		}
	}
	if ns.Count = 0; !isComplete(ns.newRoll()) {
		t.Error("none are not all")
	}
}

// New nodes are made as kwok's Stage would leave them, which therefore has nothing to do with them.
func TestInitialized(t *testing.T) {
	ns := newNodes(1)
	resources, err := ns.resources()
	if err != nil {
		t.Fatal(err)
	}
	stage := &v1alpha1.Stage{}
	if err := yaml.Unmarshal([]byte(fast.DefaultNodeInit), stage); err != nil {
		t.Fatal(err)
	}
	plain := ns.node(1, resources, 10250)
	renderer := gotpl.NewRenderer(gotpl.FuncMap{
		"NodeIP": func() string { return nodeIP }, "NodeName": func() string { return "localhost" }, "NodePort": func() int { return 10250 },
	})
	status, err := renderer.ToJSON(stage.Spec.Next.StatusTemplate, plain) //lint:ignore SA1019 kwok has it in its Stage
	if err != nil {
		t.Fatal(err)
	}
	want := plain.Status.DeepCopy()
	if err := yaml.Unmarshal(status, want); err != nil {
		t.Fatal(err)
	}
	got := initialized(ns.node(1, resources, 10250)).Status
	times := cmpopts.IgnoreFields(corev1.NodeCondition{}, "LastHeartbeatTime", "LastTransitionTime")
	if diff := cmp.Diff(*want, got, times); diff != "" {
		t.Errorf("not as the Stage leaves it (-Stage +made):\n%s", diff)
	}
	for _, c := range got.Conditions {
		if c.LastHeartbeatTime.IsZero() || c.LastTransitionTime.IsZero() {
			t.Errorf("%s has no times", c.Type)
		}
	}
	selector, err := json.Marshal(stage.Spec.Selector)
	if err != nil || !strings.Contains(string(selector), `select( .type == \"Ready\" )`) || !nodeutil.IsNodeReady(&corev1.Node{Status: got}) {
		t.Errorf("the Stage is for other nodes, or the node is not Ready: %s, %v", selector, err)
	}

	client := fake.NewClientset()
	for _, ready := range []bool{true, false} {
		ns.Prefix = fmt.Sprint(ready, "-")
		if err := ns.ensureNodes(t.Context(), client, 10250, asStages(ready)); err != nil {
			t.Fatal(err)
		}
		node, err := client.CoreV1().Nodes().Get(t.Context(), ns.nodeName(1), metav1.GetOptions{})
		if err != nil || nodeutil.IsNodeReady(node) != ready || node.Status.Capacity == nil {
			t.Errorf("ready %v: it is made with %+v, %v", ready, node.Status, err)
		}
		// Where all are there, nobody is asked: the answer takes a moment.
		if err := ns.ensureNodes(t.Context(), client, 10250, nil); err != nil {
			t.Error(err)
		}
	}
}

// Stages of users for nodes, and those that users have changed, are to be seen at work.
func TestNodeStagesAreOurs(t *testing.T) {
	made := []metav1.ManagedFieldsEntry{{Manager: fieldManager, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}}
	changed := append(slices.Clone(made), metav1.ManagedFieldsEntry{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)})
	stage := func(kind string, ours bool, fields []metav1.ManagedFieldsEntry) v1alpha1.Stage {
		s := v1alpha1.Stage{ObjectMeta: metav1.ObjectMeta{Name: "stage", ManagedFields: fields},
			Spec: v1alpha1.StageSpec{ResourceRef: v1alpha1.StageResourceRef{APIGroup: "v1", Kind: kind}}}
		if ours {
			s.Annotations = map[string]string{stageAnnotation: "hash"}
		}
		return s
	}
	for _, test := range []struct {
		stages []v1alpha1.Stage
		want   bool
	}{
		{nil, true},
		{[]v1alpha1.Stage{stage("Node", true, made), stage("Node", true, made), stage("Pod", false, changed)}, true},
		{[]v1alpha1.Stage{stage("Node", true, made), stage("Node", false, made)}, false},
		{[]v1alpha1.Stage{stage("Node", true, changed)}, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(&v1alpha1.StageList{
				TypeMeta: metav1.TypeMeta{Kind: "StageList", APIVersion: "kwok.x-k8s.io/v1alpha1"}, Items: test.stages})
		}))
		got, err := nodeStagesAreOurs(t.Context(), &rest.Config{Host: server.URL})
		server.Close()
		if err != nil || got != test.want {
			t.Errorf("%v: %v, %v", test.stages, got, err)
		}
	}
}
