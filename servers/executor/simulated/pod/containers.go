package pod

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// kind is that of a container.
type kind int

const (
	initial kind = iota // an init container that is to end before the next one starts
	sidecar             // an init container that goes on while the others run
	regular
	ephemeral
)

// containers are those of a pod in the order in which they start.
func containers(spec *corev1.PodSpec) iter.Seq2[*corev1.Container, kind] {
	return func(yield func(*corev1.Container, kind) bool) {
		for i := range spec.InitContainers {
			c, kind := &spec.InitContainers[i], initial
			if podutil.IsRestartableInitContainer(c) {
				kind = sidecar
			}
			if !yield(c, kind) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(&spec.Containers[i], regular) {
				return
			}
		}
		for i := range spec.EphemeralContainers {
			c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !yield(&c, ephemeral) {
				return
			}
		}
	}
}

// statusOf finds a container's status in a list, and adds that of one that has not been started if there is none.
func statusOf(list *[]corev1.ContainerStatus, c *corev1.Container, reason string) *corev1.ContainerStatus {
	for i := range *list {
		if (*list)[i].Name == c.Name {
			return &(*list)[i]
		}
	}
	*list = append(*list, corev1.ContainerStatus{Name: c.Name, State: waiting(reason, "")})
	return &(*list)[len(*list)-1]
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}
