package simulated

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // the options of logs

	"github.com/seed-200a7251/km/servers/executor/simulated/pod"
)

// logs answers what kubectl logs asks for: the lines that the pod's annotation says, and a line that says so if it has
// none.
func (k kubelet) logs(w http.ResponseWriter, r *http.Request, namespace, name, container string) {
	var options corev1.PodLogOptions
	if err := legacyscheme.ParameterCodec.DecodeParameters(r.URL.Query(), corev1.SchemeGroupVersion, &options); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p, err := k.client.CoreV1().Pods(namespace).Get(r.Context(), name, metav1.GetOptions{ResourceVersion: "0"})
	switch {
	case apierrors.IsNotFound(err):
		http.Error(w, fmt.Sprintf("pod %q does not exist", name), http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	started, err := startOf(p, container, options.Previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	lines, ok := pod.Logs(p, container)
	if !ok {
		lines = []string{fmt.Sprintf(isSimulated, namespace+"/"+name, "nothing is logged")}
	}
	_, _ = w.Write(selected(lines, started, &options))
	if !options.Follow || options.Previous {
		return
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	k.waitForEnd(r.Context(), p, container)
}

// startOf is when a container started whose logs are asked for. The errors are the kubelet's
// (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, validateContainerLogStatus).
func startOf(p *corev1.Pod, container string, previous bool) (time.Time, error) {
	st, ok := containerStatus(p, container)
	last := st.LastTerminationState.Terminated
	switch {
	case !ok:
		return time.Time{}, fmt.Errorf("container %q in pod %q is not available", container, p.Name)
	case previous && last == nil:
		return time.Time{}, fmt.Errorf("previous terminated container %q in pod %q not found", container, p.Name)
	case previous:
		return last.StartedAt.Time, nil
	case st.State.Running != nil:
		return st.State.Running.StartedAt.Time, nil
	case st.State.Terminated != nil:
		return st.State.Terminated.StartedAt.Time, nil
	case last != nil:
		return last.StartedAt.Time, nil
	case st.State.Waiting == nil:
		return time.Time{}, fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", container, p.Name)
	}
	reason := st.State.Waiting.Reason
	switch reason {
	case "ErrImagePull":
		reason = "image can't be pulled"
	case "ImagePullBackOff":
		reason = "trying and failing to pull image"
	}
	return time.Time{}, fmt.Errorf("container %q in pod %q is waiting to start: %s", container, p.Name, reason)
}

func containerStatus(p *corev1.Pod, name string) (corev1.ContainerStatus, bool) {
	return podutil.GetContainerStatus(slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses, p.Status.EphemeralContainerStatuses), name)
}

// selected are the lines of a container, all logged when it started, that the options ask for.
func selected(lines []string, started time.Time, options *corev1.PodLogOptions) []byte {
	since := time.Time{}
	switch {
	case options.SinceTime != nil:
		since = options.SinceTime.Time
	case options.SinceSeconds != nil:
		since = time.Now().Add(-time.Duration(*options.SinceSeconds) * time.Second)
	}
	if started.Before(since) {
		return nil
	}
	if tail := options.TailLines; tail != nil && *tail >= 0 {
		lines = lines[max(0, len(lines)-int(*tail)):]
	}
	var out bytes.Buffer
	for _, line := range lines {
		if options.Timestamps {
			line = started.UTC().Format(time.RFC3339Nano) + " " + line
		}
		out.WriteString(strings.TrimSuffix(line, "\r") + "\n")
	}
	if most := options.LimitBytes; most != nil && int64(out.Len()) > *most {
		out.Truncate(int(*most))
	}
	return out.Bytes()
}

// waitForEnd waits until a container has ended, or started again, since the pod was read; or ctx ends.
func (k kubelet) waitForEnd(ctx context.Context, p *corev1.Pod, container string) {
	was, _ := containerStatus(p, container)
	ended := func(p *corev1.Pod) bool {
		now, ok := containerStatus(p, container)
		return !ok || now.State.Running == nil || now.ContainerID != was.ContainerID
	}
	for ctx.Err() == nil && !ended(p) {
		w, err := k.client.CoreV1().Pods(p.Namespace).Watch(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("metadata.name", p.Name).String(), ResourceVersion: p.ResourceVersion,
		})
		if err != nil {
			return
		}
		for e := range w.ResultChan() {
			now, ok := e.Object.(*corev1.Pod)
			if !ok || e.Type == "DELETED" || now.UID != p.UID {
				w.Stop()
				return
			}
			if p = now; ended(p) {
				break
			}
		}
		w.Stop()
	}
}
