package simulated

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	kwokfake "sigs.k8s.io/kwok/pkg/client/clientset/versioned/fake"
)

// kwok gets the pods of a node, however often that fails, and of all others what the API server says.
func TestListOfNodeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := fake.NewClientset(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: "default"}, Spec: corev1.PodSpec{NodeName: "node-1"}})
		failures := 20
		var logged bytes.Buffer
		cluster.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			failures--
			return failures >= 0, nil, errors.New("connection refused")
		})
		pods := kwokClient{cluster, slog.New(slog.NewTextHandler(&logged, nil))}.CoreV1().Pods("")
		for _, selector := range []string{"", "spec.nodeName!="} {
			if _, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: selector}); err == nil {
				t.Errorf("what has the selector %q is tried again", selector)
			}
		}
		list, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=node-1"})
		if err != nil || len(list.Items) != 1 || failures != -1 {
			t.Errorf("%v (%v) after %d failures", list, err, 20-failures)
		}
		if lines := strings.Count(logged.String(), "node=node-1 err=\"connection refused\""); lines != 18 {
			t.Errorf("%d failures are in the log:\n%s", lines, &logged)
		}
	})
}

// kwok is told of a Stage once more when it has been told of all, of none when there is none, and of others as ever.
func TestStageOnceMore(t *testing.T) {
	stage := func(name, version string, end bool) *v1alpha1.Stage {
		s := &v1alpha1.Stage{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
		if end {
			s.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		}
		return s
	}
	first := []watch.Event{{Type: watch.Added, Object: stage("one", "1", false)}, {Type: watch.Added, Object: stage("two", "2", false)}}
	end := watch.Event{Type: watch.Bookmark, Object: stage("", "7", true)}
	later := []watch.Event{{Type: watch.Added, Object: stage("three", "8", false)}, {Type: watch.Bookmark, Object: stage("", "9", false)}}
	for name, test := range map[string]struct {
		initial bool
		given   []watch.Event
		want    []string
	}{
		"some":  {true, slices.Concat(first, []watch.Event{end}, later), []string{"ADDED one 1", "ADDED two 2", "BOOKMARK  7", "MODIFIED two 7", "ADDED three 8", "BOOKMARK  9"}},
		"none":  {true, slices.Concat([]watch.Event{end}, later), []string{"BOOKMARK  7", "ADDED three 8", "BOOKMARK  9"}},
		"later": {false, slices.Concat(first, later), []string{"ADDED one 1", "ADDED two 2", "ADDED three 8", "BOOKMARK  9"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, from := kwokfake.NewSimpleClientset(), watch.NewFakeWithChanSize(len(test.given), false)
			cluster.PrependWatchReactor("stages", func(k8stesting.Action) (bool, watch.Interface, error) { return true, from, nil })
			w, err := kwokStages{cluster}.KwokV1alpha1().Stages().Watch(t.Context(), metav1.ListOptions{SendInitialEvents: ptr.To(test.initial)})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range test.given {
				from.Action(e.Type, e.Object)
			}
			from.Stop()
			var got []string
			for e := range w.ResultChan() {
				s := e.Object.(*v1alpha1.Stage)
				got = append(got, string(e.Type)+" "+s.Name+" "+s.ResourceVersion)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What watches Stages ends with whoever watches.
func TestStagesWatchStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, from := kwokfake.NewSimpleClientset(), watch.NewFake()
		cluster.PrependWatchReactor("stages", func(k8stesting.Action) (bool, watch.Interface, error) { return true, from, nil })
		w, err := kwokStages{cluster}.KwokV1alpha1().Stages().Watch(t.Context(), metav1.ListOptions{SendInitialEvents: ptr.To(true)})
		if err != nil {
			t.Fatal(err)
		}
		go from.Add(&v1alpha1.Stage{}) // nobody takes it
		synctest.Wait()
		w.Stop()
		if _, more := <-w.ResultChan(); more {
			<-w.ResultChan()
		}
		synctest.Wait()
		if !from.IsStopped() {
			t.Error("it goes on")
		}
	})
}
