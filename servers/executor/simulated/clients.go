package simulated

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/client/clientset/versioned"
	kwokclient "sigs.k8s.io/kwok/pkg/client/clientset/versioned/typed/apis/v1alpha1"
)

// kwokClient is kwok's client for nodes and pods. kwok lists the pods of a node once, when it begins to play the node
// (Controller.podsOnNodeSyncWorker in pkg/kwok/controllers): if that fails, it logs so, and those that are there are
// Pending for good. Here it does not fail before the context ends; the log has each failure.
type kwokClient struct {
	kubernetes.Interface
	log *slog.Logger
}

func (c kwokClient) CoreV1() coreclient.CoreV1Interface {
	return kwokCore{c.Interface.CoreV1(), c.log}
}

type kwokCore struct {
	coreclient.CoreV1Interface
	log *slog.Logger
}

func (c kwokCore) Pods(namespace string) coreclient.PodInterface {
	return kwokPods{c.CoreV1Interface.Pods(namespace), c.log}
}

type kwokPods struct {
	coreclient.PodInterface
	log *slog.Logger
}

// listBackoff is how long a list that has failed waits before it is tried again.
var listBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 9, Cap: renewInterval}

func (p kwokPods) List(ctx context.Context, o metav1.ListOptions) (list *corev1.PodList, err error) {
	selector, wrong := fields.ParseSelector(o.FieldSelector)
	if wrong != nil {
		return nil, wrong
	}
	node, ofNode := selector.RequiresExactMatch("spec.nodeName")
	if !ofNode {
		return p.PodInterface.List(ctx, o)
	}
	for backoff := listBackoff; ; {
		if list, err = p.PodInterface.List(ctx, o); err == nil {
			return list, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		p.log.Error("the pods of a node are not played yet, as they cannot be listed", "node", node, "err", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(backoff.Step()):
		}
	}
}

// kwokStages is kwok's client for Stages. kwok looks which there are when its informer tells it of each, but takes them
// for none as long as the informer has not noted the version of the list (cacheGetter in pkg/config/resources), which
// it does right after it has begun to tell. On a busy machine kwok may have looked for the last time by then, and plays
// nothing. Here it is told of one of them once more.
type kwokStages struct{ versioned.Interface }

func (c kwokStages) KwokV1alpha1() kwokclient.KwokV1alpha1Interface {
	return kwokStagesV1alpha1{c.Interface.KwokV1alpha1()}
}

type kwokStagesV1alpha1 struct {
	kwokclient.KwokV1alpha1Interface
}

func (c kwokStagesV1alpha1) Stages() kwokclient.StageInterface {
	return stagesOnceMore{c.KwokV1alpha1Interface.Stages()}
}

type stagesOnceMore struct{ kwokclient.StageInterface }

// Watch repeats the last of those that are there when it has told of all, which the informer has noted by then.
func (s stagesOnceMore) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	from, err := s.StageInterface.Watch(ctx, o)
	if err != nil || !ptr.Deref(o.SendInitialEvents, false) {
		return from, err
	}
	events := make(chan watch.Event)
	to := watch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		defer from.Stop()
		send := func(e watch.Event) bool {
			select {
			case events <- e:
				return true
			case <-to.StopChan():
				return false
			}
		}
		var last *v1alpha1.Stage
		for {
			select {
			case <-to.StopChan():
				return
			case e, more := <-from.ResultChan():
				if !more || !send(e) {
					return
				}
				stage, ok := e.Object.(*v1alpha1.Stage)
				if !ok {
					continue
				}
				if e.Type == watch.Bookmark && stage.Annotations[metav1.InitialEventsAnnotationKey] == "true" && last != nil {
					last.ResourceVersion = stage.ResourceVersion
					if !send(watch.Event{Type: watch.Modified, Object: last}) {
						return
					}
				}
				last = nil
				if e.Type == watch.Added {
					last = stage.DeepCopy()
				}
			}
		}
	}()
	return to, nil
}
