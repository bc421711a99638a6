package pod

import (
	stdcmp "cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/process"
)

func init() {
	if err := process.AddStageFunctions(Expressions); err != nil {
		panic(err)
	}
}

// stages are the Stages as kwok reads them.
func stages(t *testing.T) lifecycle.Lifecycle {
	t.Helper()
	var all []*internalversion.Stage
	for _, text := range strings.Split(Stages, "\n---\n") {
		stage := &v1alpha1.Stage{}
		if err := yaml.UnmarshalStrict([]byte(text), stage); err != nil {
			t.Fatal(err)
		}
		one, err := internalversion.ConvertToInternalStage(stage)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	l, err := lifecycle.NewLifecycle(all)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// played is a pod on a node that kwok plays.
type played struct {
	t      *testing.T
	stages lifecycle.Lifecycle
	pod    *corev1.Pod
	start  time.Time
	lines  []string
	// forgets is whether the apiserver does not keep what is newer than it.
	forgets bool
}

// play plays Stages until none is left, or most have been.
func (p *played) play(most int) {
	p.t.Helper()
	renderer := gotpl.NewRenderer(gotpl.FuncMap{
		"PodStatus":   Templates["PodStatus"],
		"NodeIPsWith": func(string) []string { return []string{"127.0.0.1"} },
		"PodIPsWith":  func(string, bool, string, string, string) ([]string, error) { return []string{"10.128.0.1"}, nil },
	})
	ctx := context.Background()
	p.pod = p.pod.DeepCopy() // as each that kwok reads
	for range most {
		event := &lifecycle.Event{Labels: p.pod.Labels, Annotations: p.pod.Annotations, Data: p.pod}
		possible, err := p.stages.ListAllPossible(ctx, event)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(possible) == 0 {
			return
		}
		if len(possible) > 1 {
			p.t.Fatalf("%d Stages at once", len(possible))
		}
		stage := possible[0]
		delay, _, err := stage.Delay(ctx, event, time.Now())
		if err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(delay)
		deleted, said := false, ""
		_, err = stage.DoSteps(0, nil, p.pod, renderer,
			func(e *internalversion.StageEvent) error { said = " (" + e.Reason + ")"; return nil },
			func() error { deleted = true; return nil },
			func(patch *lifecycle.Patch) error { return p.patch(patch.Data) },
			func(*lifecycle.Apply) error { return fmt.Errorf("nothing is applied") })
		if err != nil {
			p.t.Fatal(err)
		}
		p.lines = append(p.lines, fmt.Sprintf("%s %s%s: %s", time.Since(p.start).Round(time.Second), stage.Name(), said, p.describe()))
		if deleted {
			p.lines = append(p.lines, "deleted")
			return
		}
	}
}

// patch does what the apiserver does.
func (p *played) patch(data []byte) error {
	p.t.Helper()
	before, err := json.Marshal(p.pod)
	if err != nil {
		return err
	}
	after, err := strategicpatch.StrategicMergePatch(before, data, p.pod)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(after, pod); err != nil {
		return err
	}
	if p.forgets {
		pod.Status.ObservedGeneration = 0
		for i := range pod.Status.Conditions {
			pod.Status.Conditions[i].ObservedGeneration = 0
		}
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].Resources, pod.Status.ContainerStatuses[i].AllocatedResources = nil, nil
		}
	}
	if cmp.Equal(pod, p.pod) && p.pod.DeletionTimestamp == nil {
		p.t.Errorf("a Stage that changes nothing: %s", data)
	}
	p.pod = pod
	return nil
}

// describe is the phase, the Ready condition, and each container's state: + is ready.
func (p *played) describe() string {
	s := p.pod.Status
	out := []string{string(s.Phase)}
	if s.Reason != "" {
		out[0] += "(" + s.Reason + ")"
	}
	for _, c := range s.Conditions {
		if c.Type == corev1.PodReady {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("Ready=%s/%s", c.Status, c.Reason), "/"))
		}
	}
	for _, st := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		state := ""
		switch {
		case st.State.Waiting != nil:
			state = st.State.Waiting.Reason
		case st.State.Running != nil:
			state = "runs"
		case st.State.Terminated != nil:
			state = fmt.Sprint(st.State.Terminated.Reason, st.State.Terminated.ExitCode)
		}
		if st.Ready {
			state += "+"
		}
		if st.RestartCount > 0 {
			state += fmt.Sprintf("*%d", st.RestartCount)
		}
		out = append(out, st.Name+"="+state)
	}
	return strings.Join(out, " ")
}

// manifest is a pod with a container app, bound to a node.
func manifest(t *testing.T, spec, annotations string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app", Image: "app:1"}}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(annotations), &pod.Annotations); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Namespace, pod.UID, pod.Generation = "p", "default", "1", 1
	pod.Spec.NodeName = "node-1"
	pod.Status.Phase = corev1.PodPending
	return pod
}

func TestLife(t *testing.T) {
	const (
		never   = "restartPolicy: Never\n"
		failure = "restartPolicy: OnFailure\n"
		sidecar = "initContainers: [{name: init, image: i}, {name: side, image: s, restartPolicy: Always}]\n"
	)
	for _, test := range []struct {
		name, spec, does string
		job, forgets     bool
		first            int // how many Stages are played before then, if not all
		then             func(p *played)
		want             string
	}{
		{name: "runs", want: "0s pod-ready: Running Ready=True app=runs+"},
		{name: "gets something done", spec: never, want: `
			0s pod-ready: Running Ready=True app=runs+
			2s pod-complete: Succeeded Ready=False/PodCompleted app=Completed0`},
		{name: "job", spec: never, job: true, want: `
			0s pod-ready: Running Ready=True app=runs+
			0s pod-complete: Succeeded Ready=False/PodCompleted app=Completed0`},
		{name: "older apiserver", spec: never + "containers: [{name: app, resources: {requests: {cpu: 1}}}]", job: true, forgets: true, want: `
			0s pod-ready: Running Ready=True app=runs+
			0s pod-complete: Succeeded Ready=False/PodCompleted app=Completed0`},
		{name: "older apiserver, no image", spec: "containers: [{name: app, resources: {requests: {cpu: 1}}}]", does: "km.simulated-pod: cannot pull its image", forgets: true, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady app=ErrImagePull
			2s pod-no-image (Failed): Pending Ready=False/ContainersNotReady app=ImagePullBackOff`},
		{name: "resize", spec: "containers: [{name: app, resources: {requests: {cpu: 1}}}]", then: func(p *played) {
			p.pod.Generation++
			p.pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("2")}
			p.play(8)
			if s := p.pod.Status; s.ContainerStatuses[0].AllocatedResources.Cpu().String() != "2" || s.ObservedGeneration != 2 {
				p.t.Errorf("after a resize: %v", s)
			}
		}, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			0s pod-containers: Running Ready=True app=runs+`},
		{name: "other image", then: func(p *played) {
			p.pod.Generation++
			p.pod.Spec.Containers[0].Image = "app:2"
		}, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			0s pod-containers: Running Ready=True app=runs+*1`},
		{name: "job with a sidecar", spec: never + sidecar, job: true, want: `
			0s pod-ready: Running Ready=True init=Completed0+ side=runs+ app=runs+
			0s pod-complete: Succeeded Ready=False/PodCompleted init=Completed0+ side=Completed0 app=Completed0`},
		{name: "job of which one container runs", spec: never + "containers: [{name: a}, {name: b}]", job: true, does: "km.simulated-pod/b: completes after 5s", want: `
			0s pod-ready: Running Ready=True a=runs+ b=runs+
			0s pod-containers: Running Ready=False/ContainersNotReady a=Completed0 b=runs+
			6s pod-complete: Succeeded Ready=False/PodCompleted a=Completed0 b=Completed0`},
		{name: "never, but runs", spec: never, does: "km.simulated-pod: runs", want: "0s pod-ready: Running Ready=True app=runs+"},
		{name: "fails", spec: never, does: "km.simulated-pod: exits 3 after 1m", want: `
			0s pod-ready: Running Ready=True app=runs+
			1m1s pod-complete: Failed Ready=False/PodFailed app=Error3`},
		{name: "crashes", does: "km.simulated-pod: exits 1", want: `
			0s pod-ready: Running Ready=True app=runs+
			0s pod-containers: Running Ready=True app=runs+*1
			0s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*1
			10s pod-containers: Running Ready=True app=runs+*2
			10s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*2
			30s pod-containers: Running Ready=True app=runs+*3
			30s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*3
			1m10s pod-containers: Running Ready=True app=runs+*4`},
		{name: "restarts on failure", spec: failure, does: "km.simulated-pod: restarts 2 times after 3s", want: `
			0s pod-ready: Running Ready=True app=runs+
			4s pod-containers: Running Ready=True app=runs+*1
			8s pod-containers: Running Ready=True app=runs+*2
			10s pod-complete: Succeeded Ready=False/PodCompleted app=Completed0*2`},
		{name: "completes and is started again", does: "km.simulated-pod: completes after 1h", want: `
			0s pod-ready: Running Ready=True app=runs+
			1h0m1s pod-containers: Running Ready=True app=runs+*1
			2h0m2s pod-containers: Running Ready=True app=runs+*2
			3h0m3s pod-containers: Running Ready=True app=runs+*3
			4h0m4s pod-containers: Running Ready=True app=runs+*4
			5h0m5s pod-containers: Running Ready=True app=runs+*5
			6h0m6s pod-containers: Running Ready=True app=runs+*6
			7h0m7s pod-containers: Running Ready=True app=runs+*7`},
		{name: "image", does: "km.simulated-pod: cannot pull its image", then: func(p *played) {
			p.pod.Annotations = nil
		}, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady app=ErrImagePull
			2s pod-no-image (Failed): Pending Ready=False/ContainersNotReady app=ImagePullBackOff
			then
			2s pod-containers: Running Ready=True app=runs+`},
		{name: "image that is not there", spec: "containers: [{name: app, image: 'registry.example:5000/app:404'}]", then: func(p *played) {
			p.pod.Spec.Containers[0].Image = "registry.example:5000/app:1"
		}, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady app=ErrImagePull
			2s pod-no-image (Failed): Pending Ready=False/ContainersNotReady app=ImagePullBackOff
			then
			2s pod-containers: Running Ready=True app=runs+`},
		{name: "other image that is not there", then: func(p *played) {
			p.pod.Spec.Containers[0].Image = "app:does-not-exist@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			p.play(1)
			p.pod.Spec.Containers[0].Image = "app:does-not-exist"
		}, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			0s pod-containers: Running Ready=True app=runs+*1
			0s pod-containers: Running Ready=False/ContainersNotReady app=ErrImagePull*2
			2s pod-no-image (Failed): Running Ready=False/ContainersNotReady app=ImagePullBackOff*2`},
		{name: "image that is not there, and runs", spec: "containers: [{name: app, image: 'app:non-existent'}]", does: "km.simulated-pod: runs", want: `
			0s pod-ready: Running Ready=True app=runs+`},
		{name: "ready later", does: "km.simulated-pod: runs, ready after 30s", want: `
			0s pod-ready: Running Ready=False/ContainersNotReady app=runs
			31s pod-containers: Running Ready=True app=runs+`},
		{name: "never ready", does: "km.simulated-pod: Runs, never ready", want: "0s pod-ready: Running Ready=False/ContainersNotReady app=runs"},
		{name: "init container takes long", spec: sidecar, does: "km.simulated-pod/init: completes after 10s", want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady init=runs side=PodInitializing app=PodInitializing
			11s pod-containers: Running Ready=True init=Completed0+ side=runs+ app=runs+`},
		{name: "init container fails", spec: never + sidecar, does: "km.simulated-pod/init: exits 2", want: `
			0s pod-ready: Failed Ready=False/PodFailed init=Error2 side=PodInitializing app=PodInitializing`},
		{name: "init container crashes", spec: sidecar, does: "km.simulated-pod/init: exits 2", then: func(p *played) {
			p.pod.Annotations["km.simulated-pod/init"] = "completes"
		}, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*1 side=PodInitializing app=PodInitializing
			10s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*2 side=PodInitializing app=PodInitializing
			30s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*3 side=PodInitializing app=PodInitializing
			1m10s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*4 side=PodInitializing app=PodInitializing
			2m30s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*5 side=PodInitializing app=PodInitializing
			5m10s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*6 side=PodInitializing app=PodInitializing
			10m10s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*7 side=PodInitializing app=PodInitializing
			15m10s pod-crash (BackOff): Pending Ready=False/ContainersNotReady init=CrashLoopBackOff*8 side=PodInitializing app=PodInitializing
			then
			20m10s pod-containers: Running Ready=True init=Completed0+*9 side=runs+ app=runs+`},
		{name: "sidecar crashes", spec: sidecar, does: "km.simulated-pod/side: restarts after 5s", want: `
			0s pod-ready: Running Ready=True init=Completed0+ side=runs+ app=runs+
			6s pod-containers: Running Ready=True init=Completed0+ side=runs+*1 app=runs+`},
		{name: "restart rule", spec: never + "containers: [{name: app, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]}]",
			does: "km.simulated-pod: exits 42 after 1s", then: func(p *played) { p.pod.Annotations[DoesAnnotation] = "exits 43 after 1s" }, want: `
			0s pod-ready: Running Ready=True app=runs+
			2s pod-containers: Running Ready=True app=runs+*1
			4s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*1
			14s pod-containers: Running Ready=True app=runs+*2
			16s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*2
			36s pod-containers: Running Ready=True app=runs+*3
			38s pod-crash (BackOff): Running Ready=False/ContainersNotReady app=CrashLoopBackOff*3
			1m18s pod-containers: Running Ready=True app=runs+*4
			then
			1m20s pod-complete: Failed Ready=False/PodFailed app=Error43*4`},
		{name: "gate", spec: "readinessGates: [{conditionType: example.com/gate}]", then: func(p *played) {
			p.pod.Status.Conditions = append(p.pod.Status.Conditions, corev1.PodCondition{Type: "example.com/gate", Status: corev1.ConditionTrue})
			p.play(8)
			p.pod.Status.Conditions[len(p.pod.Status.Conditions)-1].Status = corev1.ConditionFalse
		}, want: `
			0s pod-ready: Running Ready=False/ReadinessGatesNotReady app=runs+
			then
			0s pod-conditions: Running Ready=True app=runs+
			0s pod-conditions: Running Ready=False/ReadinessGatesNotReady app=runs+`},
		{name: "deadline", spec: "activeDeadlineSeconds: 10\n" + sidecar, want: `
			0s pod-ready: Running Ready=True init=Completed0+ side=runs+ app=runs+
			11s pod-complete: Failed(DeadlineExceeded) Ready=False/PodFailed init=Completed0+ side=Completed0 app=Error137`},
		{name: "ephemeral container", then: func(p *played) {
			p.pod.Generation++
			p.pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "d"}}}
		}, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			0s pod-containers: Running Ready=True app=runs+ debug=runs`},
		{name: "deleted", spec: sidecar, then: func(p *played) { deleted(p, 30) }, want: `
			0s pod-ready: Running Ready=True init=Completed0+ side=runs+ app=runs+
			then
			1s pod-delete: Succeeded Ready=False/PodCompleted init=Completed0+ side=Completed0 app=Completed0
			deleted`},
		{name: "deleted before its end", spec: never, does: "km.simulated-pod: completes after 1h", first: 1, then: func(p *played) { deleted(p, 30) }, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			1s pod-delete: Failed Ready=False/PodFailed app=Error143
			deleted`},
		{name: "deleted while it initializes", spec: sidecar, does: "km.simulated-pod/init: completes after 1h", first: 1, then: func(p *played) { deleted(p, 1) }, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady init=runs side=PodInitializing app=PodInitializing
			then
			1s pod-delete: Failed Ready=False/PodFailed init=Error143 side=PodInitializing app=PodInitializing
			deleted`},
		{name: "deleted without its image", does: "km.simulated-pod: cannot pull its image", then: func(p *played) { deleted(p, 30) }, want: `
			0s pod-ready: Pending Ready=False/ContainersNotReady app=ErrImagePull
			2s pod-no-image (Failed): Pending Ready=False/ContainersNotReady app=ImagePullBackOff
			then
			3s pod-delete: Failed Ready=False/PodFailed app=ContainerStatusUnknown137
			deleted`},
		{name: "not understood", does: "km.simulated-pod: exit 1", then: func(p *played) { p.pod.Annotations[DoesAnnotation] = "runs" }, want: `
			0s pod-refused (Failed): Pending Ready=False/ContainersNotReady app=CreateContainerConfigError
			then
			0s pod-containers: Running Ready=True app=runs+`},
		{name: "changed while it runs", then: func(p *played) {
			p.pod.Annotations = map[string]string{DoesAnnotation: "runs, never ready"}
			p.play(8)
			p.pod.Annotations[DoesAnnotation] = "runs"
		}, want: `
			0s pod-ready: Running Ready=True app=runs+
			then
			0s pod-containers: Running Ready=False/ContainersNotReady app=runs
			0s pod-containers: Running Ready=True app=runs+`},
		{name: "what the node lifecycle controller has made of it", then: func(p *played) { unready(p, "") }, want: `
			0s pod-ready: Running Ready=True app=runs+
			then`},
		{name: "what a Stage of somebody's has made of it", then: func(p *played) { unready(p, "Played") }, want: `
			0s pod-ready: Running Ready=True app=runs+
			then`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &played{t: t, stages: stages(t), pod: manifest(t, test.spec, test.does), start: time.Now(), forgets: test.forgets}
				if test.job {
					p.pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "j"}}
				}
				p.play(stdcmp.Or(test.first, 8))
				if test.then != nil {
					p.lines = append(p.lines, "then")
					test.then(p)
					p.play(8)
				}
				want := strings.Split(strings.TrimSpace(strings.ReplaceAll(test.want, "\t", "")), "\n")
				if diff := cmp.Diff(want, p.lines); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

func unready(p *played, reason string) {
	for i := range p.pod.Status.Conditions {
		if c := &p.pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			c.Status, c.Reason = corev1.ConditionFalse, reason
		}
	}
}

func deleted(p *played, grace int64) {
	p.pod.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Duration(grace) * time.Second)}
	p.pod.DeletionGracePeriodSeconds = &grace
}

// What an annotation may not say is told.
func TestWrong(t *testing.T) {
	for _, test := range []struct{ annotation, value, want string }{
		{"km.simulated-pod", "exits", "is not understood: use runs"},
		{"km.simulated-pod", "", "is not understood: use runs"},
		{"km.simulated-pod", "exits 256", "is no number from 0 to 255"},
		{"km.simulated-pod", "completes after soon", `"soon" is no duration, such as 90s or 5m`},
		{"km.simulated-pod", "completes after -1s", `"-1s" is no duration`},
		{"km.simulated-pod", "runs after 1s", "is not understood"},
		{"km.simulated-pod", "after 1s", "is not understood"},
		{"km.simulated-pod", "cannot pull its image after 1s", "is not understood"},
		{"km.simulated-pod", "runs, never ready after 1s", "is not understood"},
		{"km.simulated-pod", "restarts 0 times", "once or more often"},
		{"km.simulated-pod/once", "restarts", "the restartPolicy of the container once does not let it"},
		{"km.simulated-pod/web", "runs", "the pod has no container web"},
		{"km.simulated-logs/web", "x", "the pod has no container web"},
		{"km.simulated-pods", "runs", "is none of km.simulated-pod and km.simulated-logs"},
		{"km.simulated-pod", "  Exits   1 AFTER 1s ", ""},
		{"km.simulated-pod", "restarts 3", ""},
		{"km.simulated-logs", "anything", ""},
		{"example.com/km.simulated", "anything", ""},
	} {
		pod := manifest(t, "containers: [{name: app}, {name: once, restartPolicy: Never}]", "km.simulated-pod/once: runs")
		pod.Annotations[test.annotation] = test.value
		err := wrong(pod)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.annotation)) {
			t.Errorf("%s: %q: %v, want %q", test.annotation, test.value, err, test.want)
		}
	}
}
