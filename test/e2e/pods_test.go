package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// Simulated pods live as the kubelet's do, and do what their annotations say.
func TestPods(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t)
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
	var lives []subtest
	for name, test := range map[string]func(*testing.T, home, kubernetes.Interface){
		"job with a sidecar":  testSidecarJob,
		"job that fails":      testFailingJob,
		"gate":                testGate,
		"something done":      testSomethingDone,
		"hook":                testHook,
		"image":               testNoImage,
		"crash":               testCrash,
		"logs":                testSimulatedLogs,
		"wrong annotation":    testWrongAnnotation,
		"ephemeral container": testEphemeral,
		"init containers":     testInit,
		"deadline":            testDeadline,
		"deletion":            testDeletion,
		"connections":         testConnections,
	} {
		lives = append(lives, subtest{name, func(t *testing.T) { test(t, h, client) }})
	}
	sideBySide(t, unlimited, lives...)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if stderr := p.stderr.String(); strings.Contains(stderr, "failed to apply stage") || strings.Contains(stderr, "Failed to preprocess") {
		t.Errorf("the executor complains:\n%s", stderr)
	}
}

// podFile is the manifest of a pod with a container app.
func podFile(name, annotations, spec string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  annotations: {%s}\nspec:\n  containers: [{name: app, image: example.invalid/app}]\n  %s\n",
		name, annotations, strings.ReplaceAll(spec, "\n", "\n  "))
}

const readyReason = `{.status.conditions[?(@.type=="Ready")].reason}`

func testSidecarJob(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: sidecar}
spec:
  template:
    spec:
      restartPolicy: Never
      initContainers: [{name: proxy, image: example.invalid/proxy, restartPolicy: Always}]
      containers: [{name: app, image: example.invalid/app}]
`)
	h.until(t, "job/sidecar", `{.status.conditions[?(@.type=="Complete")].status}`, "True")
	pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=sidecar"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods (%v)", len(pods.Items), err)
	}
	pod := "pod/" + pods.Items[0].Name
	if got := h.shows(t, pod, readyReason+" {.status.phase} {.status.initContainerStatuses[0].state.terminated.reason}"); got != "PodCompleted Succeeded Completed" {
		t.Errorf("the pod: %s", got)
	}
	if out := h.must(t, "kubectl", "get", pod); !strings.Contains(out, "0/2     Completed") {
		t.Errorf("kubectl get: %s", out)
	}
}

func testFailingJob(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 1
  template:
    metadata: {annotations: {km.simulated-pod: exits 3}}
    spec:
      restartPolicy: Never
      containers: [{name: app, image: example.invalid/app}]
`)
	// The job's controller makes another pod only after ten seconds.
	h.until(t, "job/fails", `{.status.conditions[?(@.type=="Failed")].status}`, "True")
	if got := h.shows(t, "job/fails", `{.status.failed} {.status.conditions[?(@.type=="Failed")].reason}`); got != "2 BackoffLimitExceeded" {
		t.Errorf("the job: %s", got)
	}
}

// A gate is its own controller's: nobody else sets it, and Ready follows it.
func testGate(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, podFile("gate", "", "readinessGates: [{conditionType: example.com/gate}]"))
	h.until(t, "pod/gate", readyReason, "ReadinessGatesNotReady")
	if got := h.shows(t, "pod/gate", `{.status.phase} {.status.containerStatuses[0].ready} {.status.conditions[?(@.type=="example.com/gate")].status}`); got != "Running true " {
		t.Errorf("the pod: %s", got)
	}
	for _, status := range []string{"True", "False", "True"} {
		patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"example.com/gate","status":%q}]}}`, status)
		if _, err := client.CoreV1().Pods("default").Patch(t.Context(), "gate", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		h.until(t, "pod/gate", `{.status.conditions[?(@.type=="Ready")].status}`, status)
	}
}

// Pods that are not started again whatever happens are there to get something done.
func testSomethingDone(t *testing.T, h home, _ kubernetes.Interface) {
	if r := h.km(t, "kubectl", "run", "done", "--image=example.invalid/done", "--restart=Never", "--rm", "-i"); r.code != 0 || !strings.Contains(r.stdout, "nothing is logged") {
		t.Errorf("kubectl run: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := h.km(t, "kubectl", "run", "undone", "--image=example.invalid/undone", "--restart=Never", "--rm", "-i",
		"--annotations=km.simulated-pod=exits 3 after 1s", "--annotations=km.simulated-logs=no luck")
	if r.code != 3 || !strings.Contains(r.stdout, "no luck\n") {
		t.Errorf("kubectl run of what fails: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	h.must(t, "kubectl", "run", "stays", "--image=example.invalid/stays", "--restart=Never", "--annotations=km.simulated-pod=runs")
	h.must(t, "kubectl", "run", "ends", "--image=example.invalid/ends", "--restart=OnFailure")
	h.until(t, "pod/ends", "{.status.phase}", "Succeeded")
	if got := h.shows(t, "pod/stays", "{.status.phase}"); got != "Running" {
		t.Errorf("the pod that is to run on: %s", got)
	}
}

// What helm test makes, and waits for.
func testHook(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("hook", "helm.sh/hook: test", "restartPolicy: Never"))
	h.until(t, "pod/hook", "{.status.phase}", "Succeeded")
	h.apply(t, podFile("hook-fails", "helm.sh/hook: test, km.simulated-pod: exits 1", "restartPolicy: Never"))
	h.until(t, "pod/hook-fails", "{.status.phase}", "Failed")
	if got := h.shows(t, "pod/hook-fails", readyReason+" {.status.containerStatuses[0].state.terminated.exitCode}"); got != "PodFailed 1" {
		t.Errorf("the pod: %s", got)
	}
}

func testNoImage(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, podFile("image", "km.simulated-pod: cannot pull its image", ""))
	h.until(t, "pod/image", "{.status.containerStatuses[0].state.waiting.reason}", "ImagePullBackOff")
	if got := h.shows(t, "pod/image", "{.status.phase}"); got != "Pending" {
		t.Errorf("phase: %s", got)
	}
	warned(t, client, "image", "Failed", "ImagePullBackOff")
	if r := h.km(t, "kubectl", "logs", "image"); r.code == 0 || !strings.Contains(r.stderr, "trying and failing to pull image") {
		t.Errorf("kubectl logs: exit code %d, %s", r.code, r.stderr)
	}
	h.must(t, "kubectl", "annotate", "pod", "image", "km.simulated-pod-")
	h.ready(t, "pod/image")
}

// warned waits for a warning about a pod.
func warned(t *testing.T, client kubernetes.Interface, pod, reason, message string) {
	t.Helper()
	poll(t, "the event "+reason+" of "+pod, func(ctx context.Context) (bool, error) {
		events, err := client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,reason=" + reason + ",involvedObject.name=" + pod})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, message) }), nil
	})
}

func testCrash(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, podFile("crash", "km.simulated-pod: exits 2, km.simulated-logs: good bye", ""))
	h.until(t, "pod/crash", "{.status.containerStatuses[0].state.waiting.reason}", "CrashLoopBackOff")
	// The second restart comes after the ten seconds that the kubelet waits; on a busy machine there may be more when
	// it is seen.
	h.untilIs(t, "pod/crash", "{.status.containerStatuses[0].restartCount}", "2 or more", func(count string) bool { return len(count) > 1 || count >= "2" })
	if got := h.shows(t, "pod/crash", "{.status.phase} {.status.containerStatuses[0].lastState.terminated.exitCode}"); got != "Running 2" {
		t.Errorf("the pod: %s", got)
	}
	warned(t, client, "crash", "BackOff", "Back-off restarting failed container")
	if out := h.must(t, "kubectl", "logs", "--previous", "crash"); out != "good bye\n" {
		t.Errorf("kubectl logs --previous: %q", out)
	}
	h.apply(t, podFile("flaky", "km.simulated-pod: restarts 3 times", ""))
	h.until(t, "pod/flaky", "{.status.containerStatuses[0].restartCount}", "3")
	h.ready(t, "pod/flaky")
}

func testSimulatedLogs(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("logs", `km.simulated-logs: "one\ntwo\n", km.simulated-logs/side: beside, km.simulated-pod: completes after 3s`,
		"restartPolicy: Never\ninitContainers: [{name: side, image: example.invalid/side, restartPolicy: Always}]"))
	h.untilIs(t, "pod/logs", "{.status.containerStatuses[0].containerID}", "that it has started", func(id string) bool { return id != "" })
	for args, want := range map[string]string{
		"logs logs -c app -f":                                "one\ntwo\n", // until it ends
		"logs logs -c app --tail=1":                          "two\n",
		"logs logs -c side":                                  "beside\n",
		"logs logs -c app --limit-bytes=5":                   "one\nt",
		"logs logs -c app --since-time=2999-01-01T00:00:00Z": "",
	} {
		if out := h.must(t, append([]string{"kubectl"}, strings.Fields(args)...)...); out != want {
			t.Errorf("kubectl %s: %q, want %q", args, out, want)
		}
	}
	h.until(t, "pod/logs", "{.status.phase}", "Succeeded")
	started := h.shows(t, "pod/logs", "{.status.containerStatuses[0].state.terminated.startedAt}")
	if out := h.must(t, "kubectl", "logs", "logs", "-c", "app", "--timestamps"); out != started+" one\n"+started+" two\n" {
		t.Errorf("kubectl logs --timestamps: %q", out)
	}
	if r := h.km(t, "kubectl", "logs", "logs", "-c", "app", "--previous"); r.code == 0 || !strings.Contains(r.stderr, `previous terminated container "app" in pod "logs" not found`) {
		t.Errorf("kubectl logs --previous: exit code %d, %s", r.code, r.stderr)
	}
}

func testWrongAnnotation(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, podFile("wrong", "km.simulated-pod: exit 1", ""))
	h.until(t, "pod/wrong", "{.status.containerStatuses[0].state.waiting.reason}", "CreateContainerConfigError")
	if got := h.shows(t, "pod/wrong", "{.status.phase} {.status.containerStatuses[0].state.waiting.message}"); !strings.HasPrefix(got, `Pending the annotation km.simulated-pod: "exit 1" is not understood: use runs`) {
		t.Errorf("the pod: %s", got)
	}
	warned(t, client, "wrong", "Failed", "is wrong")
	h.must(t, "kubectl", "annotate", "pod", "wrong", "km.simulated-pod=runs", "--overwrite")
	h.ready(t, "pod/wrong")
}

func testEphemeral(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("looked-at", "", ""))
	h.ready(t, "pod/looked-at")
	h.must(t, "kubectl", "debug", "looked-at", "--image=example.invalid/debug", "-c", "debugger", "--attach=false")
	h.until(t, "pod/looked-at", "{.status.ephemeralContainerStatuses[0].name}", "debugger")
	h.untilIs(t, "pod/looked-at", "{.status.ephemeralContainerStatuses[0].state.running}", "that it runs", func(state string) bool { return state != "" })
}

func testInit(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("init", "km.simulated-pod/migrate: completes after 1h", "initContainers: [{name: migrate, image: example.invalid/migrate}]"))
	h.until(t, "pod/init", `{.status.conditions[?(@.type=="Initialized")].reason}`, "ContainersNotInitialized")
	h.must(t, "kubectl", "annotate", "pod", "init", "km.simulated-pod/migrate=completes after 1s", "--overwrite")
	h.ready(t, "pod/init")
	h.apply(t, podFile("init-fails", "km.simulated-pod/migrate: exits 1", "restartPolicy: Never\ninitContainers: [{name: migrate, image: example.invalid/migrate}]"))
	h.until(t, "pod/init-fails", "{.status.phase}", "Failed")
	if out := h.must(t, "kubectl", "get", "pod", "init-fails"); !strings.Contains(out, "Init:Error") {
		t.Errorf("kubectl get: %s", out)
	}
}

func testDeadline(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("deadline", "", "activeDeadlineSeconds: 1"))
	h.until(t, "pod/deadline", "{.status.reason}", "DeadlineExceeded")
	if got := h.shows(t, "pod/deadline", "{.status.phase} "+readyReason); got != "Failed PodFailed" {
		t.Errorf("the pod: %s", got)
	}
}

// The containers of a deleted pod end before it is gone; one that others hold back is there as one that has ended.
func testDeletion(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, podFile("held", "km.simulated-pod: completes after 1h", "restartPolicy: Never"))
	h.ready(t, "pod/held")
	h.must(t, "kubectl", "patch", "pod", "held", "-p", `{"metadata":{"finalizers":["example.com/held"]}}`)
	w, err := client.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=held"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	h.must(t, "kubectl", "delete", "pod", "held", "--wait=false")
	h.until(t, "pod/held", "{.status.phase}", "Failed")
	h.must(t, "kubectl", "patch", "pod", "held", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	awaitEvent(t, "the end of the pod", w, func(e watch.Event) bool {
		if e.Type != watch.Deleted {
			return false
		}
		state := e.Object.(*corev1.Pod).Status.ContainerStatuses[0].State
		if end := state.Terminated; end == nil || end.ExitCode != 143 {
			t.Errorf("it was deleted with a container that has not ended: %v", state)
		}
		return true
	})
}

// Whoever asks for what a simulated container cannot do is told, over either protocol.
func testConnections(t *testing.T, h home, _ kubernetes.Interface) {
	h.apply(t, podFile("connections", "", ""))
	h.ready(t, "pod/connections")
	const simulated = "the pod default/connections is on a simulated node: no container runs, and "
	for _, websockets := range []string{"true", "false"} {
		kubectl := []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=" + websockets, "KUBECTL_PORT_FORWARD_WEBSOCKETS=" + websockets, binary, "kubectl"}
		for _, args := range []string{"exec connections -- ls", "attach connections", "attach -i connections", "cp connections:/etc/hosts " + h.dir + "/hosts"} {
			if r := h.do(t, "env", append(kubectl, strings.Fields(args)...)...); r.code == 0 || !strings.Contains(r.stderr, simulated+"no command can be run in it") {
				t.Errorf("websockets %s: kubectl %s: exit code %d, %q", websockets, args, r.code, r.stderr)
			}
		}
		p := h.start(t, "env", append(kubectl, "port-forward", "connections", ":80")...)
		p.await(p.stdout, "Forwarding from 127.0.0.1:")
		p.await(p.stdout, " -> 80\n")
		_, rest, _ := strings.Cut(p.stdout.String(), "Forwarding from ")
		address, _, _ := strings.Cut(rest, " ")
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, c)
		}()
		await(t, "the end of the connection", closed)
		_ = c.Close()
		p.await(p.stderr, simulated+"nothing listens on its ports")
		_ = p.cmd.Process.Kill()
		p.wait()
	}
}
