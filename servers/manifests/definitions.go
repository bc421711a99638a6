package manifests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// poll is how often is looked whether a kind is there.
const poll = 50 * time.Millisecond

// isDefinition reports whether the object is a CustomResourceDefinition.
func isDefinition(o objects.Object) bool {
	return o.GroupVersionKind().GroupKind() == apiextensionsv1.Kind("CustomResourceDefinition")
}

// definedKind is the kind that a CustomResourceDefinition is of.
func definedKind(definition objects.Object) schema.GroupKind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	name, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: name}
}

// applyDefinitions applies CustomResourceDefinitions, and waits until objects of their kinds can be made.
func (a *applier) applyDefinitions(ctx context.Context, definitions []objects.Object) (refused []refusal) {
	if len(definitions) == 0 {
		return nil
	}
	refused = a.applyEach(ctx, definitions)
	var found served
	refused = append(refused, rounds{
		pause: poll,
		begin: func(ctx context.Context) { found.list(ctx, a.definitions) },
		try:   func(_ context.Context, o objects.Object) error { return found.established(o) },
		again: awaited,
	}.run(ctx, without(definitions, refused))...)
	// Discovery is read anew for all of them together: it grows with each.
	return append(refused, rounds{
		pause: poll,
		begin: func(context.Context) { a.mapper.Reset() },
		try:   func(ctx context.Context, o objects.Object) error { return found.mapped(ctx, o, a.mapper) },
		again: awaited,
	}.run(ctx, without(definitions, refused))...)
}

func awaited(_ objects.Object, err error, _ bool) bool { return passes(err, nil) }

// without returns the objects that are not refused.
func without(all []objects.Object, refused []refusal) []objects.Object {
	return slices.DeleteFunc(slices.Clone(all), func(o objects.Object) bool {
		return slices.ContainsFunc(refused, func(r refusal) bool { return r.object == o })
	})
}

// errNotServed says that a definition is there, but not its kind.
var errNotServed = &notYet{errors.New("the API server does not serve it")}

// served are the cluster's CustomResourceDefinitions by name, or why they are not known.
type served struct {
	definitions map[string]*apiextensionsv1.CustomResourceDefinition
	err         error
}

func (s *served) list(ctx context.Context, client apiextensions.Interface) {
	all, err := client.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
	*s = served{map[string]*apiextensionsv1.CustomResourceDefinition{}, err}
	if err != nil {
		return
	}
	for i := range all.Items {
		s.definitions[all.Items[i].Name] = &all.Items[i]
	}
}

// established returns why the API server does not know a definition's kind.
func (s *served) established(o objects.Object) error {
	if s.err != nil {
		return s.err
	}
	d := s.definitions[o.GetName()]
	if d == nil {
		return errors.New("it is deleted while it is applied")
	}
	if c := condition(d, apiextensionsv1.NamesAccepted); c != nil && c.Status == apiextensionsv1.ConditionFalse {
		return fmt.Errorf("its names are not accepted: %s", c.Message)
	}
	if c := condition(d, apiextensionsv1.Established); c == nil || c.Status != apiextensionsv1.ConditionTrue {
		return errNotServed
	}
	return nil
}

// mapped returns why discovery does not name a definition's kind in all its versions.
func (s *served) mapped(ctx context.Context, o objects.Object, mapper *restmapper.DeferredDiscoveryRESTMapper) error {
	d := s.definitions[o.GetName()]
	for _, version := range d.Spec.Versions {
		if !version.Served {
			continue
		}
		_, err := mapper.RESTMappingWithContext(ctx, schema.GroupKind{Group: d.Spec.Group, Kind: d.Spec.Names.Kind}, version.Name)
		if meta.IsNoMatchError(err) {
			return errNotServed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func condition(d *apiextensionsv1.CustomResourceDefinition, kind apiextensionsv1.CustomResourceDefinitionConditionType) *apiextensionsv1.CustomResourceDefinitionCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

// settle is how long the API server may take until it uses a definition that is changed: until then it refuses what the
// old one does not allow.
const settle = 10 * time.Second

// settles reports whether the definition of the object's kind was changed a moment ago.
func (a *applier) settles(o objects.Object) bool {
	return time.Since(a.changed[o.GroupVersionKind().GroupKind()]) < settle
}

// unknownKind is the error about a kind that is not in discovery. It is a notYet if it may come.
func (a *applier) unknownKind(ctx context.Context, kind schema.GroupVersionKind) error {
	none := fmt.Errorf("the API server has no kind %s in %s; apply its CustomResourceDefinition, too, or correct apiVersion and kind",
		kind.Kind, kind.GroupVersion())
	a.stale = true
	all, err := a.discovery.ServerResourcesForGroupVersionWithContext(ctx, kind.GroupVersion().String())
	switch {
	case err == nil:
		if slices.ContainsFunc(all.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind }) {
			return &notYet{none} // it has just come
		}
	case !apierrors.IsNotFound(err): // the server of an aggregated API may be away
		return &notYet{err}
	case declaresAPI(a.coming, kind.GroupVersion()):
		return &notYet{none}
	}
	// A server that has just started needs a moment until it has seen all definitions.
	return a.unlessDefined(ctx, kind, none)
}

// declaresAPI reports whether one of the objects is the APIService of a version of a group.
func declaresAPI(all []objects.Object, version schema.GroupVersion) bool {
	return slices.ContainsFunc(all, func(o objects.Object) bool {
		return o.IsAPIService() && o.GetName() == version.Version+"."+version.Group // the API insists on that name
	})
}

// unlessDefined is the error err about a kind that is not served. It is a notYet if the cluster has a definition of the
// kind.
func (a *applier) unlessDefined(ctx context.Context, kind schema.GroupVersionKind, err error) error {
	a.stale = true
	all, listErr := a.definitions.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
	if listErr != nil {
		return listErr
	}
	for _, d := range all.Items {
		served := func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return v.Served && v.Name == kind.Version
		}
		if d.Spec.Group == kind.Group && d.Spec.Names.Kind == kind.Kind && slices.ContainsFunc(d.Spec.Versions, served) {
			return &notYet{err}
		}
	}
	return err
}
