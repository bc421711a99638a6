package manifests

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/util/proto"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// hasApplied reports whether to apply an object would change nothing in the live one: km has applied the same before,
// and nobody has changed that. The error is why this cannot be found out.
func (a *applier) hasApplied(ctx context.Context, o objects.Object, live *unstructured.Unstructured) (bool, error) {
	if a.types == nil {
		types, err := a.readTypes(ctx)
		if err != nil {
			return false, err
		}
		a.types = types
	}
	kind := a.types.Type(o.GroupVersionKind())
	if kind == nil { // a definition's that is not published yet
		a.stale = true
		kind = &typed.DeducedParseableType
	}
	return applied(o.Unstructured, live, *kind)
}

// readTypes reads which fields the API's kinds have.
func (a *applier) readTypes(ctx context.Context) (*managedfields.GvkParser, error) {
	document, err := a.discovery.OpenAPISchemaWithContext(ctx)
	if err != nil {
		return nil, err
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return nil, err
	}
	return managedfields.NewGVKParser(models, false)
}

// applied reports whether what km owns in a live object of some kind is what a manifest has.
func applied(manifest, live *unstructured.Unstructured, kind typed.ParseableType) (bool, error) {
	owned := &unstructured.Unstructured{Object: map[string]any{}}
	if err := managedfields.ExtractInto(live, kind, manager, owned, ""); err != nil {
		return false, err
	}
	manifest = manifest.DeepCopy()
	for _, u := range []*unstructured.Unstructured{manifest, owned} { // what an object is named with has no owner
		u.SetGroupVersionKind(live.GroupVersionKind())
		u.SetName(live.GetName())
		u.SetNamespace(live.GetNamespace())
		dropNulls(u.Object)
	}
	if _, ok := owned.Object["status"]; !ok { // nor is it applied, where it is a subresource
		delete(manifest.Object, "status")
	}
	if !scheme.Scheme.Recognizes(live.GroupVersionKind()) {
		return equality.Semantic.DeepEqual(manifest.Object, owned.Object), nil
	}
	// A quantity, for one, can be written in more ways than one.
	var both [2]runtime.Object
	for i, u := range []*unstructured.Unstructured{manifest, owned} {
		var err error
		if both[i], err = scheme.Scheme.New(live.GroupVersionKind()); err != nil {
			return false, err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, both[i]); err != nil {
			return false, err
		}
	}
	return equality.Semantic.DeepEqual(both[0], both[1]), nil
}

// dropNulls drops fields without a value, such as the creationTimestamp that generators leave: applying them does
// nothing.
func dropNulls(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			if field == nil {
				delete(value, name)
			}
			dropNulls(field)
		}
	case []any:
		for _, item := range value {
			dropNulls(item)
		}
	}
}
