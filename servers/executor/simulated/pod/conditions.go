package pod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/kubelet/status"
)

// conditions are what the kubelet makes of the containers' states, and of the conditions that others set for readiness gates.
func (l *life) conditions() {
	s, pod, old := l.status, l.pod, &l.pod.Status
	s.ObservedGeneration = podutil.CalculatePodStatusObservedGeneration(pod)
	all := slices.Concat(s.InitContainerStatuses, s.ContainerStatuses)
	sandbox := corev1.PodCondition{
		Type:               corev1.PodReadyToStartContainers,
		Status:             corev1.ConditionTrue,
		ObservedGeneration: podutil.CalculatePodConditionObservedGeneration(old, pod.Generation, corev1.PodReadyToStartContainers),
	}
	if podutil.IsPodPhaseTerminal(s.Phase) {
		sandbox.Status = corev1.ConditionFalse
	}
	l.set(sandbox)
	l.set(status.GeneratePodInitializedCondition(pod, old, all, s.Phase))
	l.set(status.GenerateContainersReadyCondition(pod, old, all, s.Phase))
	l.set(corev1.PodCondition{
		Type:               corev1.PodScheduled,
		Status:             corev1.ConditionTrue,
		ObservedGeneration: podutil.CalculatePodConditionObservedGeneration(old, pod.Generation, corev1.PodScheduled),
	})
	ready := status.GeneratePodReadyCondition(pod, old, s.Conditions, all, s.Phase)
	// Without a reason it is the node lifecycle controller that says so, of pods on a node that is not ready, and goes on saying it.
	if _, now := podutil.GetPodConditionFromList(s.Conditions, corev1.PodReady); now != nil &&
		now.Status != corev1.ConditionTrue && now.Reason == "" && ready.Status == corev1.ConditionTrue {
		return
	}
	l.set(ready)
}

// set sets a condition. The time of its last transition changes with its status alone.
func (l *life) set(c corev1.PodCondition) {
	c.LastTransitionTime = *l.time()
	i, old := podutil.GetPodConditionFromList(l.status.Conditions, c.Type)
	if old == nil {
		l.status.Conditions = append(l.status.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	c.LastProbeTime = old.LastProbeTime
	l.status.Conditions[i] = c
}
