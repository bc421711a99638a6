package simulated

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Only what the loss of a node has done to a pod is undone.
func TestWasReady(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*corev1.Pod)
		want   bool
	}{
		{"its node was away", func(*corev1.Pod) {}, true},
		{"it is Ready", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue }, false},
		{"a container is not ready", func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }, false},
		{"a gate is closed", func(p *corev1.Pod) { p.Status.Conditions[2].Status = corev1.ConditionFalse }, false},
		{"nobody has said anything of the gate", func(p *corev1.Pod) { p.Status.Conditions = p.Status.Conditions[:2] }, false},
		{"it is pending", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, false},
		{"it is being deleted", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, false},
		{"a Stage has played it", func(p *corev1.Pod) { p.ManagedFields[1].Manager = manager }, false},
		{"a user has set it", func(p *corev1.Pod) { p.ManagedFields[1].Manager = "kubectl-patch" }, false},
		{"nobody knows who has set it", func(p *corev1.Pod) { p.ManagedFields = nil }, true},
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: manager, FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{"f:type":{}}}}}`)},
				{Manager: "km", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{"f:status":{}}}}}`)},
			}},
			Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "gate"}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionFalse},
				{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
				{Type: "gate", Status: corev1.ConditionTrue},
			}},
		}
		test.change(pod)
		if got := wasReady(pod); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
