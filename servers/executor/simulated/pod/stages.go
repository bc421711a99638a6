package pod

import (
	_ "embed"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Stages are those of pods, in YAML.
//
//go:embed stages.yaml
var Stages string

// Names of Stages.
const (
	stageReady      = "pod-ready"
	stageRefused    = "pod-refused"
	stageContainers = "pod-containers"
	stageNoImage    = "pod-no-image"
	stageCrash      = "pod-crash"
	stageComplete   = "pod-complete"
	stageConditions = "pod-conditions"
)

// Expressions are the functions of the expressions (CEL) in Stages.
var Expressions = map[string]any{"NextStage": nextStage, "NextIn": nextIn}

// Templates are the functions of the templates in Stages.
var Templates = map[string]any{"PodStatus": podStatus}

// step is what a pod does next.
type step struct {
	stage string
	at    time.Time
}

// nextStage is the name of the Stage by which a pod changes next: empty if it does not by itself. It does not depend on
// the time: all Stages see the same.
func nextStage(pod *corev1.Pod) string { return next(pod).stage }

// nextIn is the time until then.
func nextIn(pod *corev1.Pod) time.Duration { return max(0, time.Until(next(pod).at)) }

// last is the last answer: one change of a pod asks several times.
var last atomic.Pointer[answer]

type answer struct {
	containers *corev1.Container // those of the pod that has been read: they are kept, and so no other pod's
	step       step
}

func next(pod *corev1.Pod) step {
	if len(pod.Spec.Containers) == 0 {
		return step{}
	}
	if a := last.Load(); a != nil && a.containers == &pod.Spec.Containers[0] {
		return a.step
	}
	a := &answer{containers: &pod.Spec.Containers[0], step: find(pod)}
	last.Store(a)
	return a.step
}

func find(pod *corev1.Pod) step {
	if pod.DeletionTimestamp != nil || podutil.IsPodPhaseTerminal(pod.Status.Phase) {
		return step{}
	}
	// What waits for no time is due at the beginning of all times.
	status, at := advance(pod, time.Time{})
	if stage := change(&pod.Status, status); stage != "" {
		return step{stage: stage}
	}
	if at.IsZero() {
		return step{}
	}
	status, _ = advance(pod, at)
	return step{change(&pod.Status, status), at}
}

// change is the Stage that makes one status of another; empty if they are the same.
func change(old, now *corev1.PodStatus) string {
	// Whether a container has begun to wait for that reason.
	begun := func(reason string) bool {
		before := slices.Concat(old.InitContainerStatuses, old.ContainerStatuses)
		return slices.ContainsFunc(slices.Concat(now.InitContainerStatuses, now.ContainerStatuses), func(st corev1.ContainerStatus) bool {
			was, _ := podutil.GetContainerStatus(before, st.Name)
			return waitsFor(st, reason) && !(waitsFor(was, reason) && was.RestartCount == st.RestartCount && *was.State.Waiting == *st.State.Waiting)
		})
	}
	containers := !equality.Semantic.DeepEqual(old.ContainerStatuses, now.ContainerStatuses) ||
		!equality.Semantic.DeepEqual(old.InitContainerStatuses, now.InitContainerStatuses) ||
		!equality.Semantic.DeepEqual(old.EphemeralContainerStatuses, now.EphemeralContainerStatuses)
	switch {
	case begun(badConfig):
		return stageRefused
	case old.StartTime == nil:
		return stageReady
	case podutil.IsPodPhaseTerminal(now.Phase):
		return stageComplete
	case begun(pullBackOff):
		return stageNoImage
	case begun(crashLoop):
		return stageCrash
	case containers:
		return stageContainers
	case !equality.Semantic.DeepEqual(old, now):
		return stageConditions
	}
	return ""
}

func waitsFor(st corev1.ContainerStatus, reason string) bool {
	return st.State.Waiting != nil && st.State.Waiting.Reason == reason
}

// podStatus is the patch, in JSON, that makes a pod's status what it is to be now. Its addresses are given with the
// first.
func podStatus(object any, addresses ...[]string) (string, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(text, pod); err != nil {
		return "", err
	}
	at := time.Now()
	now, _ := advance(pod, at)
	if change(&pod.Status, now) == "" {
		if due := find(pod).at; due.After(at) && due.Sub(at) < time.Second {
			now, _ = advance(pod, due) // the clock has been put back a little since the Stage was chosen
		}
	}
	if len(addresses) == 2 {
		address(now, addresses[0], addresses[1])
	}
	text, err = json.Marshal(patch(&pod.Status, now))
	return string(text), err
}

func address(s *corev1.PodStatus, host, pod []string) {
	for _, ip := range host {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	for _, ip := range pod {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(host) > 0 && len(pod) > 0 {
		s.HostIP, s.PodIP = host[0], pod[0]
	}
}

// patch is the strategic merge patch between two statuses: fields that are gone are null.
func patch(old, now *corev1.PodStatus) map[string]any {
	p := map[string]any{}
	add := func(field string, old, now any) {
		if !equality.Semantic.DeepEqual(old, now) {
			p[field] = now
		}
	}
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	add("phase", old.Phase, now.Phase)
	add("reason", orNull(old.Reason), orNull(now.Reason))
	add("message", orNull(old.Message), orNull(now.Message))
	add("startTime", old.StartTime, now.StartTime)
	add("observedGeneration", old.ObservedGeneration, now.ObservedGeneration)
	add("hostIP", old.HostIP, now.HostIP)
	add("hostIPs", old.HostIPs, now.HostIPs)
	add("podIP", old.PodIP, now.PodIP)
	add("podIPs", old.PodIPs, now.PodIPs)
	add("initContainerStatuses", old.InitContainerStatuses, now.InitContainerStatuses)
	add("containerStatuses", old.ContainerStatuses, now.ContainerStatuses)
	add("ephemeralContainerStatuses", old.EphemeralContainerStatuses, now.EphemeralContainerStatuses)
	var conditions []any
	for _, c := range now.Conditions {
		if _, before := podutil.GetPodConditionFromList(old.Conditions, c.Type); before == nil || !equality.Semantic.DeepEqual(*before, c) {
			conditions = append(conditions, map[string]any{
				"type": c.Type, "status": c.Status, "reason": orNull(c.Reason), "message": orNull(c.Message),
				"lastTransitionTime": c.LastTransitionTime, "observedGeneration": c.ObservedGeneration,
			})
		}
	}
	if conditions != nil {
		p["conditions"] = conditions
	}
	return p
}
