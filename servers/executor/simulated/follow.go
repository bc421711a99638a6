package simulated

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// source is how a client lists and watches objects of one kind.
type source[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// filtered is a source of those objects that a label selector finds.
type filtered[L runtime.Object] struct {
	source[L]
	selector string
}

func (s filtered[L]) List(ctx context.Context, o metav1.ListOptions) (L, error) {
	o.LabelSelector = s.selector
	return s.source.List(ctx, o)
}

func (s filtered[L]) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = s.selector
	return s.source.Watch(ctx, o)
}

// follower keeps the objects of one kind as they are in the cluster. It has half of the goroutines of a shared
// informer, and stops with its context.
type follower[T any] struct {
	cache.Store
	controller cache.Controller
}

// follow calls changed for each object that is there or comes or changes, and deleted for each that goes, one after the
// other, until ctx ends. Either may be nil. What they get is not theirs to change.
func follow[T runtime.Object, L runtime.Object](ctx context.Context, r source[L], changed, deleted func(T)) follower[T] {
	handler := cache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = unknown.Obj
		}
		if t, ok := o.(T); ok && deleted != nil {
			deleted(t)
		}
	}}
	if changed != nil {
		handler.AddFunc = func(o any) { changed(o.(T)) }
		handler.UpdateFunc = func(_, o any) { changed(o.(T)) }
	}
	var kind T
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return r.List(ctx, o) },
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return r.Watch(ctx, o)
			},
		},
		ObjectType: kind,
		Handler:    handler,
		Transform: func(o any) (any, error) {
			if m, err := meta.Accessor(o); err == nil {
				m.SetManagedFields(nil) // half of the object, and nobody here reads it
			}
			return o, nil
		},
	})
	go controller.RunWithContext(ctx)
	return follower[T]{store, controller}
}

// get is the object of that name, or of that namespace and name with a slash between.
func (f follower[T]) get(key string) (t T, ok bool) {
	o, ok, err := f.GetByKey(key)
	if !ok || err != nil {
		return t, false
	}
	t, ok = o.(T)
	return t, ok
}

// all are the objects that are there.
func (f follower[T]) all() []T {
	var found []T
	for _, o := range f.List() {
		if t, ok := o.(T); ok {
			found = append(found, t)
		}
	}
	return found
}

// nodeNamed is the node of that name, also if it came a moment ago, or those that are there are not known yet.
func nodeNamed(ctx context.Context, client kubernetes.Interface, nodes follower[*corev1.Node], name string) (*corev1.Node, error) {
	if node, ok := nodes.get(name); ok {
		return node, nil
	}
	return client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
}

// condition is the node's of that type, or nil.
func condition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}
