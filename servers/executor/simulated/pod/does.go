package pod

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Annotations of a pod. With /NAME behind them they are for the container NAME.
const (
	// DoesAnnotation says what the containers do.
	DoesAnnotation = "km.simulated-pod"
	// LogsAnnotation is what they log.
	LogsAnnotation = "km.simulated-logs"

	// ourAnnotations is how both begin, and those that are meant to be one of them.
	ourAnnotations = "km.simulated"
)

// grammar is what a user is told who wrote something else.
const grammar = "use runs (also: runs, ready after D; runs, never ready), completes [after D], exits N [after D], restarts [N times] [after D], " +
	"or cannot pull its image, where D is a duration such as 90s"

// does is what a container does once it is to start. Its zero value runs.
type does struct {
	noImage    bool
	ends       bool // with code, when it has run for after
	code       int32
	after      time.Duration
	restarts   int32 // it does so only that many times, and is started again at once; 0 is for each time
	atOnce     bool
	neverReady bool
	readyAfter time.Duration
	annotated  bool // somebody has said so
}

// parse reads the value of an annotation.
func parse(value string) (d does, err error) {
	d.annotated = true
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(value, ",", " , ")))
	if n := len(words); n >= 2 && words[n-2] == "after" {
		if d.after, err = time.ParseDuration(words[n-1]); err != nil || d.after < 0 {
			return d, fmt.Errorf("%q: %q is no duration, such as 90s or 5m", value, words[n-1])
		}
		words = words[:n-2]
		if len(words) == 0 || words[0] == "cannot" || slices.Equal(words, []string{"runs"}) {
			return d, fmt.Errorf("%q is not understood: %s", value, grammar)
		}
	}
	number := func(word string, most int) (int32, error) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || n > most {
			return 0, fmt.Errorf("%q: %q is no number from 0 to %d", value, word, most)
		}
		return int32(n), nil
	}
	switch first, rest := word(words, 0), words[min(1, len(words)):]; {
	case first == "runs" && len(rest) == 0:
	case first == "runs" && slices.Equal(rest, []string{",", "ready"}):
		d.readyAfter, d.after = d.after, 0
	case first == "runs" && slices.Equal(rest, []string{",", "never", "ready"}) && d.after == 0:
		d.neverReady = true
	case first == "completes" && len(rest) == 0:
		d.ends = true
	case first == "exits" && len(rest) == 1:
		d.ends = true
		d.code, err = number(rest[0], 255)
	case first == "restarts" && len(rest) == 0:
		d.ends, d.code, d.restarts, d.atOnce = true, 1, 1, true
	case first == "restarts" && (len(rest) == 1 || len(rest) == 2 && (rest[1] == "times" || rest[1] == "time")):
		d.ends, d.code, d.atOnce = true, 1, true
		if d.restarts, err = number(rest[0], 100); err == nil && d.restarts == 0 {
			err = fmt.Errorf("%q: it is to be once or more often", value)
		}
	case strings.Join(words, " ") == "cannot pull its image":
		d.noImage = true
	default:
		err = fmt.Errorf("%q is not understood: %s", value, grammar)
	}
	return d, err
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}

// of is what a container does after so many restarts. An annotation that is wrong counts for nothing.
func of(pod *corev1.Pod, c *corev1.Container, kind kind, restarts int32) does {
	value, ok := pod.Annotations[DoesAnnotation+"/"+c.Name]
	if !ok && kind == regular {
		value, ok = pod.Annotations[DoesAnnotation]
	}
	if ok {
		if d, err := parse(value); err == nil && (d.restarts == 0 || restarts < d.restarts) {
			return d
		}
	}
	d := does{annotated: ok, noImage: missing(c.Image)}
	switch {
	case kind == initial:
		d.ends = true
	case kind == regular && !podutil.ContainerShouldRestart(*c, pod.Spec, 0):
		d.ends = true
		if !isJobs(pod) {
			d.after = time.Second
		}
	}
	return d
}

// missingTags are the tags of images that cannot be pulled.
var missingTags = []string{"404", "does-not-exist", "invalid", "nonexistent", "non-existent"}

// missing reports whether an image's name says that there is none.
func missing(image string) bool {
	// Each step of each pod asks, and nearly no image is one of these: it is not parsed for that.
	if !slices.ContainsFunc(missingTags, func(tag string) bool { return strings.HasSuffix(image, ":"+tag) }) {
		return false
	}
	_, err := reference.ParseDockerRef(image)
	return err == nil // what is no name of an image is not looked for
}

func isJobs(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "Job" })
}

// wrong says what is wrong with a pod's annotations: the first fault, in the order of their keys.
func wrong(pod *corev1.Pod) error {
	for _, key := range slices.Sorted(maps.Keys(pod.Annotations)) {
		if !strings.HasPrefix(key, ourAnnotations) {
			continue
		}
		name, container, one := strings.Cut(key, "/")
		if name != DoesAnnotation && name != LogsAnnotation {
			return fmt.Errorf("the annotation %s is none of %s and %s", key, DoesAnnotation, LogsAnnotation)
		}
		found := false
		for c, kind := range containers(&pod.Spec) {
			if one && c.Name != container {
				continue
			}
			found = true
			if _, own := pod.Annotations[DoesAnnotation+"/"+c.Name]; name != DoesAnnotation || !one && (own || kind != regular) {
				continue
			}
			d, err := parse(pod.Annotations[key])
			if err == nil && d.restarts > 0 && (kind == ephemeral || kind != sidecar && !podutil.ContainerShouldRestart(*c, pod.Spec, d.code)) {
				err = fmt.Errorf("%q: the restartPolicy of the container %s does not let it", pod.Annotations[key], c.Name)
			}
			if err != nil {
				return fmt.Errorf("the annotation %s: %w", key, err)
			}
		}
		if !found {
			return fmt.Errorf("the annotation %s: the pod has no container %s", key, container)
		}
	}
	return nil
}

// Logs are the lines that a container of a pod has logged, and whether an annotation says so.
func Logs(pod *corev1.Pod, container string) (lines []string, ok bool) {
	text, ok := pod.Annotations[LogsAnnotation+"/"+container]
	if !ok {
		for c, kind := range containers(&pod.Spec) {
			if c.Name == container && kind == regular {
				text, ok = pod.Annotations[LogsAnnotation]
			}
		}
	}
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil, ok
	}
	return strings.Split(text, "\n"), ok
}
