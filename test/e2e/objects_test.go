package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/jsonpath"
)

// Objects are made and looked at here by client-go, where it is not kubectl that is tested: each kubectl is a process
// of its own, which takes a sixth of a second of a core, and sees no change that is over when it has started.

// apply applies a manifest to the cluster "km".
func (h home) apply(t *testing.T, manifest string) {
	t.Helper()
	config := h.config(t, "km")
	client := dynamic.NewForConfigOrDie(config)
	resources, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClientForConfigOrDie(config))
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(resources)
	for documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v\n%s", err, manifest)
		}
		text, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		objects := dynamic.ResourceInterface(client.Resource(mapping.Resource))
		if namespace := object.GetNamespace(); namespace != "" {
			objects = client.Resource(mapping.Resource).Namespace(namespace)
		} else if mapping.Scope.Name() == "namespace" {
			objects = client.Resource(mapping.Resource).Namespace(metav1.NamespaceDefault)
		}
		options := metav1.PatchOptions{FieldManager: "e2e", FieldValidation: metav1.FieldValidationStrict}
		if _, err := objects.Patch(t.Context(), object.GetName(), types.ApplyPatchType, text, options); err != nil {
			t.Fatalf("%s %s: %v", kind.Kind, object.GetName(), err)
		}
	}
}

// resources are those of which objects are looked at, by their short names.
var resources = map[string]schema.GroupVersionResource{
	"pod":       {Version: "v1", Resource: "pods"},
	"configmap": {Version: "v1", Resource: "configmaps"},
	"daemonset": {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"job":       {Group: "batch", Version: "v1", Resource: "jobs"},
	"widget":    {Group: "example.com", Version: "v1", Resource: "widgets"}, // that of apply_test.go
}

// object is what gets and watches an object KIND/NAME in the namespace default.
func (h home) object(t *testing.T, what string) (objects dynamic.ResourceInterface, name string) {
	t.Helper()
	kind, name, _ := strings.Cut(what, "/")
	resource, ok := resources[kind]
	if !ok {
		t.Fatalf("%s is not looked at yet", kind)
	}
	return dynamic.NewForConfigOrDie(h.config(t, "km")).Resource(resource).Namespace(metav1.NamespaceDefault), name
}

// field is what a path shows of an object, as kubectl has it.
func field(t *testing.T, object *unstructured.Unstructured, path string) string {
	t.Helper()
	j := jsonpath.New(path).AllowMissingKeys(true)
	if err := j.Parse(path); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := j.Execute(&text, object.Object); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// shows is what a path shows of an object.
func (h home) shows(t *testing.T, what, path string) string {
	t.Helper()
	objects, name := h.object(t, what)
	object, err := objects.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return field(t, object, path)
}

// until waits until a path shows the value of an object. The object may come meanwhile.
func (h home) until(t *testing.T, what, path, value string) {
	t.Helper()
	h.untilIs(t, what, path, value, func(v string) bool { return v == value })
}

// ready waits until a pod is.
func (h home) ready(t *testing.T, what string) {
	t.Helper()
	h.until(t, what, `{.status.conditions[?(@.type=="Ready")].status}`, "True")
}

// untilIs is until for what is more than one value.
func (h home) untilIs(t *testing.T, what, path, wanted string, is func(value string) bool) {
	t.Helper()
	objects, name := h.object(t, what)
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
		return o
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return objects.List(ctx, only(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return objects.Watch(ctx, only(o))
		},
	}
	last := "nothing is there"
	_, err := watchtools.UntilWithSync(ctx, source, &unstructured.Unstructured{}, nil, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(*unstructured.Unstructured)
		if ok {
			last = field(t, object, path)
		}
		return ok && e.Type != watch.Deleted && is(last), nil
	})
	switch {
	case wait.Interrupted(err), ctx.Err() != nil:
		hang(t, what+" shows "+wanted+" at "+path+", where it shows "+last)
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
}

// awaitEvent waits until a watch tells of what f looks for.
func awaitEvent(t *testing.T, what string, w watch.Interface, f func(e watch.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				t.Fatalf("%s: the watch has ended: %v", what, e.Object)
			}
			if f(e) {
				return
			}
		case <-ctx.Done():
			hang(t, what)
		}
	}
}
