package pod

import (
	"crypto/sha256"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Reasons for which containers wait, and with which they end: those of the kubelet.
const (
	creating     = "ContainerCreating"
	initializing = "PodInitializing"
	badConfig    = "CreateContainerConfigError"
	errPull      = "ErrImagePull"
	pullBackOff  = "ImagePullBackOff"
	crashLoop    = "CrashLoopBackOff"
	completed    = "Completed"
	failed       = "Error"
	deadline     = "DeadlineExceeded"
)

// The times that a container waits before it is started again (k8s.io/kubernetes/pkg/kubelet, MaxCrashLoopBackOff and
// initialCrashLoopBackOff): none before the first time, and none after it has run for resetBackOff.
const (
	firstBackOff = 10 * time.Second
	maxBackOff   = 5 * time.Minute
	resetBackOff = 2 * maxBackOff
)

// pullTime is how long after its start a pod learns that an image cannot be pulled for good.
const pullTime = time.Second

// life is a pod at a moment.
type life struct {
	pod    *corev1.Pod
	now    time.Time
	status *corev1.PodStatus // as it is to be now
	next   time.Time         // when it changes again; zero if it does not by itself
}

// advance returns the status that a pod is to have at a time, and when that changes next. What has changed since may
// have been due earlier: it is as if it happened now.
func advance(pod *corev1.Pod, now time.Time) (status *corev1.PodStatus, next time.Time) {
	l := &life{pod: pod, now: now, status: pod.Status.DeepCopy()}
	if podutil.IsPodPhaseTerminal(pod.Status.Phase) {
		return l.status, time.Time{}
	}
	if l.status.StartTime == nil {
		l.status.StartTime = l.time()
	}
	switch {
	case pod.DeletionTimestamp != nil:
		l.terminate(func(c *corev1.Container, kind kind) int32 {
			if of(pod, c, kind, 0).ends {
				return 143
			}
			return 0
		})
	case l.overdue():
		l.terminate(func(*corev1.Container, kind) int32 { return 137 })
		l.status.Reason, l.status.Message = deadline, "Pod was active on the node longer than the specified deadline"
	default:
		l.sync()
	}
	l.conditions()
	return l.status, l.next
}

func (l *life) time() *metav1.Time { return &metav1.Time{Time: l.now} }

// due reports whether it is t or later. If not, the pod changes at t.
func (l *life) due(t time.Time) bool {
	if !l.now.Before(t) {
		return true
	}
	if l.next.IsZero() || t.Before(l.next) {
		l.next = t
	}
	return false
}

// since reports whether d has passed since a time in a status, of which only the seconds were kept: never too early.
func (l *life) since(t metav1.Time, d time.Duration) bool {
	if d > 0 {
		d += time.Second
	}
	return l.due(t.Add(d))
}

// overdue reports whether the pod has been active for too long.
func (l *life) overdue() bool {
	seconds := l.pod.Spec.ActiveDeadlineSeconds
	return seconds != nil && l.since(*l.status.StartTime, time.Duration(*seconds)*time.Second)
}

// sync starts, ends and restarts containers, each one step further.
func (l *life) sync() {
	if !l.started() {
		if err := wrong(l.pod); err != nil {
			l.refuse(err)
			l.status.Phase = corev1.PodPending
			return
		}
	}
	s := l.status
	initialized, reason := true, creating
	if len(l.pod.Spec.InitContainers) > 0 {
		reason = initializing
	}
	begun := l.started() // the init containers are not started again
	l.accept(reason)
	ended, broken := true, false
	for c, kind := range containers(&l.pod.Spec) {
		switch kind {
		case initial:
			st := statusOf(&s.InitContainerStatuses, c, initializing)
			if begun || !initialized {
				continue
			}
			for l.step(c, kind, st) && !st.Ready { // most complete at once: that is no change of its own
			}
			if !st.Ready {
				initialized = false
				t := st.State.Terminated
				broken = t != nil && !podutil.ContainerShouldRestart(*c, l.pod.Spec, t.ExitCode)
			}
		case sidecar:
			st := statusOf(&s.InitContainerStatuses, c, initializing)
			if begun || initialized {
				l.step(c, kind, st)
				initialized = initialized && st.Started != nil && *st.Started
			}
		case regular:
			st := statusOf(&s.ContainerStatuses, c, reason)
			if begun || initialized {
				l.step(c, kind, st)
			}
			t := st.State.Terminated
			ended = ended && t != nil && !podutil.ContainerShouldRestart(*c, l.pod.Spec, t.ExitCode)
		case ephemeral:
			l.step(c, kind, statusOf(&s.EphemeralContainerStatuses, c, creating))
		}
	}
	if ended || broken {
		l.endOthers()
	}
	s.Phase = l.phase(ended, broken)
}

// started reports whether a regular container has ever been started.
func (l *life) started() bool {
	for _, st := range l.status.ContainerStatuses {
		if st.State.Running != nil || st.State.Terminated != nil || st.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

// refuse has all containers wait because of an annotation.
func (l *life) refuse(err error) {
	for c, kind := range containers(&l.pod.Spec) {
		switch kind {
		case initial, sidecar:
			statusOf(&l.status.InitContainerStatuses, c, "").State = waiting(badConfig, err.Error())
		case regular:
			statusOf(&l.status.ContainerStatuses, c, "").State = waiting(badConfig, err.Error())
		}
	}
}

// accept has containers that were refused go on.
func (l *life) accept(reason string) {
	for _, list := range [][]corev1.ContainerStatus{l.status.InitContainerStatuses, l.status.ContainerStatuses} {
		for i := range list {
			if w := list[i].State.Waiting; w != nil && w.Reason == badConfig {
				list[i].State = waiting(reason, "")
			}
		}
	}
}

// step brings a container one step further, and reports whether there was one to take.
func (l *life) step(c *corev1.Container, kind kind, st *corev1.ContainerStatus) bool {
	does := of(l.pod, c, kind, st.RestartCount)
	otherImage := st.Image != c.Image
	describe(c, st, false)
	switch {
	case st.State.Running != nil && otherImage && (kind == regular || kind == sidecar):
		l.end(st, 0)
		st.LastTerminationState = st.State
		st.RestartCount++
		if does := of(l.pod, c, kind, st.RestartCount); does.noImage {
			st.State = noImage(c.Image)
		} else {
			l.start(c, kind, st, does)
		}
		return true
	case st.State.Running != nil:
		if does.ends && l.since(st.State.Running.StartedAt, does.after) {
			l.end(st, does.code)
			st.Ready = kind == initial && does.code == 0
			l.restart(c, kind, st, does)
			return true
		}
		if does.annotated { // else it is what others have made it
			l.readiness(kind, st, does)
		}
		return false
	case st.State.Terminated != nil:
		return l.restart(c, kind, st, does)
	case st.State.Waiting != nil && st.State.Waiting.Reason == crashLoop:
		return l.restart(c, kind, st, does)
	}
	// It has never been started.
	reason := ""
	if st.State.Waiting != nil {
		reason = st.State.Waiting.Reason
	}
	switch {
	case !does.noImage:
		l.start(c, kind, st, does)
	case reason != errPull && reason != pullBackOff:
		st.State = noImage(c.Image)
	case reason == errPull && l.since(*l.status.StartTime, pullTime):
		st.State = waiting(pullBackOff, fmt.Sprintf("Back-off pulling image %q", c.Image))
	default:
		return false
	}
	return true
}

// noImage is the state of a container whose image cannot be pulled.
func noImage(image string) corev1.ContainerState {
	return waiting(errPull, fmt.Sprintf("failed to pull image %q: its tag, or the pod's annotation, says that it cannot be pulled", image))
}

// describe copies into a container's status what its spec says. Resources get there when it starts, and are changed
// later only if they are there: an older apiserver elsewhere does not keep them.
func describe(c *corev1.Container, st *corev1.ContainerStatus, starts bool) {
	st.Image = c.Image
	if r := c.Resources; len(r.Requests) > 0 && (starts || st.AllocatedResources != nil) {
		st.AllocatedResources = r.Requests
	}
	if r := c.Resources; len(r.Requests)+len(r.Limits) > 0 && (starts || st.Resources != nil) {
		st.Resources = &corev1.ResourceRequirements{Requests: r.Requests, Limits: r.Limits}
	}
}

// start starts a container, for the first time or again.
func (l *life) start(c *corev1.Container, kind kind, st *corev1.ContainerStatus, does does) {
	describe(c, st, true)
	id := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", l.pod.UID, st.Name, st.RestartCount))
	st.ContainerID = fmt.Sprintf("kwok://%x", id)
	st.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: *l.time()}}
	if kind != ephemeral {
		started := kind != initial
		st.Started = &started
	}
	l.readiness(kind, st, does)
}

// readiness says whether a container that runs is ready.
func (l *life) readiness(kind kind, st *corev1.ContainerStatus, does does) {
	switch {
	case kind == initial || kind == ephemeral || does.neverReady:
		st.Ready = false
	case !st.Ready:
		st.Ready = l.since(st.State.Running.StartedAt, does.readyAfter)
	}
}

// end ends a container that runs.
func (l *life) end(st *corev1.ContainerStatus, code int32) {
	reason := completed
	if code != 0 {
		reason = failed
	}
	if st.Ready = false; st.Started != nil {
		st.Started = new(bool)
	}
	st.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, StartedAt: st.State.Running.StartedAt, FinishedAt: *l.time(), ContainerID: st.ContainerID,
	}}
}

// restart starts a container again that has ended, or has it wait for that, and reports whether it did one of them.
func (l *life) restart(c *corev1.Container, kind kind, st *corev1.ContainerStatus, does does) bool {
	ended := st.State.Terminated
	if ended == nil {
		ended = st.LastTerminationState.Terminated
	}
	if ended == nil || kind == ephemeral || kind == initial && ended.ExitCode == 0 || kind != sidecar && !podutil.ContainerShouldRestart(*c, l.pod.Spec, ended.ExitCode) {
		return false
	}
	wait := backOff(st.RestartCount, ended)
	if does.atOnce {
		wait = 0
	}
	st.LastTerminationState.Terminated = ended
	if l.due(ended.FinishedAt.Add(wait)) {
		st.RestartCount++
		l.start(c, kind, st, of(l.pod, c, kind, st.RestartCount))
		return true
	}
	if st.State.Terminated == nil {
		return false
	}
	st.State = waiting(crashLoop, fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", wait, st.Name, l.pod.Name, l.pod.Namespace, l.pod.UID))
	return true
}

// backOff is how long a container that has been restarted that many times waits after it has ended.
func backOff(restarts int32, ended *corev1.ContainerStateTerminated) time.Duration {
	if restarts == 0 || ended.FinishedAt.Sub(ended.StartedAt.Time) > resetBackOff {
		return 0
	}
	return min(firstBackOff<<min(restarts-1, 10), maxBackOff)
}

// endOthers ends what runs beside the regular containers when these have ended.
func (l *life) endOthers() {
	for _, list := range [][]corev1.ContainerStatus{l.status.InitContainerStatuses, l.status.EphemeralContainerStatuses} {
		for i := range list {
			l.stop(&list[i], 0)
		}
	}
}

// stop ends a container for good.
func (l *life) stop(st *corev1.ContainerStatus, code int32) {
	switch {
	case st.State.Running != nil:
		l.end(st, code)
	case st.State.Waiting != nil && st.LastTerminationState.Terminated != nil:
		st.State = st.LastTerminationState // it waited to be started again
	}
}

// terminate ends all containers, whose exit code is what a function says. The pod succeeds if it was deleted and all
// ended well.
func (l *life) terminate(code func(*corev1.Container, kind) int32) {
	s := l.status
	s.Phase = corev1.PodSucceeded
	initialized := len(l.pod.Spec.InitContainers) == 0 || l.started()
	for c, kind := range containers(&l.pod.Spec) {
		switch kind {
		case initial:
			l.stop(statusOf(&s.InitContainerStatuses, c, initializing), code(c, kind))
		case sidecar:
			l.stop(statusOf(&s.InitContainerStatuses, c, initializing), 0)
		case ephemeral:
			l.stop(statusOf(&s.EphemeralContainerStatuses, c, creating), 0)
		case regular:
			st := statusOf(&s.ContainerStatuses, c, creating)
			l.stop(st, code(c, kind))
			// as the kubelet's TerminatePod (pkg/kubelet/status/status_manager.go)
			if st.State.Terminated == nil && initialized {
				st.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated",
				}}
			}
			if t := st.State.Terminated; t == nil || t.ExitCode != 0 {
				s.Phase = corev1.PodFailed
			}
		}
	}
	if l.pod.DeletionTimestamp == nil {
		s.Phase = corev1.PodFailed
	}
	l.next = time.Time{}
}

// phase is the kubelet's (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, getPhase) for what there is here. ended is
// whether all regular containers have ended for good, broken whether an init container has failed for good.
func (l *life) phase(ended, broken bool) corev1.PodPhase {
	if broken {
		return corev1.PodFailed
	}
	if !l.started() {
		return corev1.PodPending // the init containers are not through, or an image is missing
	}
	succeeded := true
	for _, st := range l.status.ContainerStatuses {
		if st.State.Waiting != nil && st.LastTerminationState.Terminated == nil {
			return corev1.PodPending
		}
		succeeded = succeeded && st.State.Terminated != nil && st.State.Terminated.ExitCode == 0
	}
	switch {
	case !ended:
		return corev1.PodRunning
	case succeeded:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}
