package pod

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/kubelet/status"
)

// conditions are what the kubelet makes of the containers' states, and of the conditions that others set for readiness
// gates.
func (l *life) conditions() {
	s, pod, old := l.status, l.pod, &l.pod.Status
	// An apiserver elsewhere that is older than the kubelet's code does not keep it: what is not there is set once.
	if old.StartTime == nil || old.ObservedGeneration != 0 {
		s.ObservedGeneration = podutil.CalculatePodStatusObservedGeneration(pod)
	}
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
	l.set(status.GeneratePodReadyCondition(pod, old, s.Conditions, all, s.Phase))
}

// reasons are the kubelet's for conditions that are not true.
var reasons = []string{
	status.ContainersNotReady, status.ContainersNotInitialized, status.ReadinessGatesNotReady, status.UnknownContainerStatuses,
	status.PodCompleted, status.PodFailed,
}

// set sets a condition. The time of its last transition changes with its status alone. One that is not true for a
// reason that is not the kubelet's is not made true: it is somebody else's, such as a Stage's that plays a failure, or,
// without a reason, the node lifecycle controller's, for pods on a node that is not ready; both would set it again.
func (l *life) set(c corev1.PodCondition) {
	c.LastTransitionTime = *l.time()
	i, old := podutil.GetPodConditionFromList(l.status.Conditions, c.Type)
	if old == nil {
		l.status.Conditions = append(l.status.Conditions, c)
		return
	}
	if old.Status != corev1.ConditionTrue && c.Status == corev1.ConditionTrue && !slices.Contains(reasons, old.Reason) {
		return
	}
	if old.ObservedGeneration == 0 && l.pod.Status.StartTime != nil {
		c.ObservedGeneration = 0
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	c.LastProbeTime = old.LastProbeTime
	l.status.Conditions[i] = c
}
