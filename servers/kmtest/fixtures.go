package kmtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// Apply applies the objects of files and folders, which are read as those of Config.Apply, in the way of `kubectl
// apply --server-side --force-conflicts`. Those of a namespaced kind that name no namespace come into this one.
// CustomResourceDefinitions come before what is of their kinds, and are waited for. What was not there before is
// deleted when the test ends, unless the cluster has gone by then; how long that takes is not waited for. Tests that
// run at the same time do not share definitions by it: those belong in Config.Apply.
func (c *Cluster) Apply(t testing.TB, namespace string, paths ...string) {
	t.Helper()
	if c.Config == nil {
		t.Fatal("nothing is applied: the cluster has no apiserver")
	}
	ctx, cancel := withDeadline(t.Context(), t)
	defer cancel()
	made, err := apply(ctx, c.Config, namespace, paths)
	c.cleanUp(t, func(ctx context.Context) {
		for _, object := range slices.Backward(made) {
			if err := object.remove(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// applied is an object in the cluster.
type applied struct {
	client dynamic.ResourceInterface
	object *unstructured.Unstructured
}

func (a *applied) String() string { return a.object.GetKind() + " " + a.object.GetName() }

func (a *applied) remove(ctx context.Context) error {
	background := metav1.DeletePropagationBackground
	uid := a.object.GetUID() // not another one of that name
	err := a.client.Delete(ctx, a.object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid}})
	if ignoreNotFound(err) == nil || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", a, err)
}

// apply applies all objects of the paths, and returns those that were not there before, also beside an error.
func apply(ctx context.Context, config *rest.Config, namespace string, paths []string) (made []*applied, err error) {
	all, err := read(paths)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(k.Discovery()))
	for _, object := range all {
		mapping, err := mappingOf(mapper, object.GroupVersionKind())
		if err != nil {
			return made, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		a := &applied{client.Resource(mapping.Resource), object}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			if object.GetNamespace() == "" {
				object.SetNamespace(namespace)
			}
			a.client = client.Resource(mapping.Resource).Namespace(object.GetNamespace())
		}
		isNew, err := a.apply(ctx)
		if isNew {
			made = append(made, a)
		}
		if err == nil && object.GetKind() == "CustomResourceDefinition" {
			err = a.awaitKinds(ctx, client, mapper)
		}
		if err != nil {
			return made, fmt.Errorf("%s: %w", a, err)
		}
	}
	return made, nil
}

// read returns the objects of files and folders, in the order in which they are applied.
func read(paths []string) (all []*unstructured.Unstructured, err error) {
	found, wrong := objects.Read(paths, objects.Kept{})
	slices.SortStableFunc(found, objects.Order)
	for _, o := range found {
		all = append(all, o.Unstructured)
	}
	return all, errors.Join(wrong...)
}

// mappingOf finds the resource of an object's kind.
func mappingOf(mapper *restmapper.DeferredDiscoveryRESTMapper, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) { // it may have come since
		mapper.Reset()
		mapping, err = mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	return mapping, err
}

// apply applies the object, and reports whether it is new.
func (a *applied) apply(ctx context.Context) (isNew bool, err error) {
	name := a.object.GetName()
	if name == "" {
		return false, errors.New("it has no name")
	}
	// What is being deleted, because of a test before, say, is not it.
	var there *unstructured.Unstructured
	err = wait.PollUntilContextTimeout(ctx, fixturePoll, goneLimit, true, func(ctx context.Context) (bool, error) {
		there, err = a.client.Get(ctx, name, metav1.GetOptions{})
		isNew = apierrors.IsNotFound(err)
		return isNew || err == nil && there.GetDeletionTimestamp() == nil, ignoreNotFound(err)
	})
	if wait.Interrupted(err) {
		return false, fmt.Errorf("it is still being deleted, and nobody ends that: spec.finalizers %v, metadata.finalizers %v",
			field(there, "spec", "finalizers"), there.GetFinalizers())
	}
	if err != nil {
		return false, err
	}
	there, err = a.client.Apply(ctx, name, a.object, metav1.ApplyOptions{FieldManager: "kmtest", Force: true})
	if err != nil {
		return false, err
	}
	a.object = there
	return isNew, nil
}

// goneLimit is how long what is being deleted has to go.
const goneLimit = time.Minute

func field(o *unstructured.Unstructured, path ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...) // of another type it is none
	return value
}

// fixturePoll is how often something is asked again that is not there yet.
const fixturePoll = 20 * time.Millisecond

// awaitKinds waits until objects of a definition can be made, and clients can find out how: discovery, and what serves
// the objects, learn of it a moment later than the definition's status has it.
func (a *applied) awaitKinds(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper) error {
	return wait.PollUntilContextCancel(ctx, fixturePoll, true, func(ctx context.Context) (bool, error) {
		there, err := a.client.Get(ctx, a.object.GetName(), metav1.GetOptions{})
		if err != nil || !isTrue(there, "Established") {
			return false, err
		}
		for _, kind := range kindsOf(there) {
			mapping, err := mappingOf(mapper, kind)
			if err == nil {
				_, err = client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{Limit: 1})
			}
			if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// kindsOf are those that a definition has the apiserver serve.
func kindsOf(definition *unstructured.Unstructured) (kinds []schema.GroupVersionKind) {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		if fields, _ := v.(map[string]any); fields["served"] == true {
			version, _ := fields["name"].(string)
			kinds = append(kinds, schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
		}
	}
	return kinds
}

// isTrue reports whether an object has the condition.
func isTrue(object *unstructured.Unstructured, condition string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return fields["type"] == condition && fields["status"] == "True"
	})
}
