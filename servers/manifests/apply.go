package manifests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// manager is who has applied the objects, in their managedFields.
const manager = "km"

const (
	// pause is how long to wait before what is refused only for a moment is tried again.
	pause = 250 * time.Millisecond
	// answer is how long one request may take: as long as the API server lets a webhook take.
	answer = 30 * time.Second
)

// applier applies objects to one cluster, once.
type applier struct {
	logger      *zap.Logger
	client      dynamic.Interface
	definitions apiextensions.Interface
	discovery   *discovery.DiscoveryClient
	mapper      *restmapper.DeferredDiscoveryRESTMapper

	coming  []objects.Object               // what is applied, or may still be
	stale   bool                           // the mapper, or types, may not know of a kind that the API server has
	changed map[schema.GroupKind]time.Time // when this one has changed the definition of a kind
	ending  map[string]bool                // namespaces that are being deleted, and are made anew
	types   *managedfields.GvkParser       // which fields the kinds have; nil until somebody asks
}

func newApplier(config *rest.Config, logger *zap.Logger) (*applier, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the limit is to protect a shared API server
	config.Timeout = answer
	config.WarningHandlerWithContext = warnings{logger}
	a := &applier{logger: logger.WithOptions(zap.WithCaller(false)), changed: map[schema.GroupKind]time.Time{}, ending: map[string]bool{}}
	var err error
	if a.client, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if a.definitions, err = apiextensions.NewForConfig(config); err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	a.discovery, a.mapper = found, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))
	return a, nil
}

// apply applies all objects, and returns what the API has refused, for people: an error for each.
func (a *applier) apply(ctx context.Context, all []objects.Object) (refused []error) {
	a.coming = slices.Clone(all)
	var definitions, others []objects.Object
	for _, o := range all {
		if isDefinition(o) {
			definitions = append(definitions, o)
		} else {
			others = append(others, o)
		}
	}
	wrong := a.applyDefinitions(ctx, definitions)
	// That there is no such kind follows from that.
	others = slices.DeleteFunc(others, func(o objects.Object) bool {
		return slices.ContainsFunc(wrong, func(r refusal) bool {
			return isDefinition(r.object) && definedKind(r.object) == o.GroupVersionKind().GroupKind()
		})
	})
	slices.SortStableFunc(others, objects.Order)
	wrong = append(wrong, a.applyEach(ctx, others)...)
	slices.SortFunc(wrong, func(r, s refusal) int { return slices.Index(all, r.object) - slices.Index(all, s.object) })
	for _, r := range wrong {
		refused = append(refused, fmt.Errorf("%s: %v: %w", r.object.At(), r.object, r.err))
	}
	return refused
}

// applyEach applies objects, one after another.
func (a *applier) applyEach(ctx context.Context, all []objects.Object) []refusal {
	return rounds{pause: pause, begin: a.renew, try: a.applyOne, again: a.again}.run(ctx, all)
}

// renew makes that what was missing a moment ago is looked for anew.
func (a *applier) renew(context.Context) {
	if a.stale {
		a.mapper.Reset()
		a.types, a.stale = nil, false
	}
}

// again reports whether an object that is refused is to be tried again.
func (a *applier) again(o objects.Object, err error, first bool) bool {
	if !passes(err, a.coming) && !a.settles(o) {
		a.coming = slices.DeleteFunc(a.coming, func(other objects.Object) bool { return other == o })
		return false
	}
	if first {
		a.logger.Info("refused for now, and tried again", where(o), object(o), zap.Error(err))
	}
	return true
}

// applyOne applies an object, and logs what that has changed.
func (a *applier) applyOne(ctx context.Context, o objects.Object) error {
	ctx = context.WithValue(ctx, objectKey{}, o)
	if a.ending[o.GetNamespace()] { // what is there now is deleted with it
		return &notYet{fmt.Errorf("namespace %s is being deleted", o.GetNamespace())}
	}
	kind := o.GroupVersionKind()
	mapping, err := a.mapper.RESTMappingWithContext(ctx, kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return a.unknownKind(ctx, kind)
	}
	if err != nil {
		return err
	}
	resource := a.resource(o, mapping)
	text, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	// For what is logged, and for where a webhook is away: whatever else is wrong is told by what follows.
	before, errBefore := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
	after, err := resource.Patch(ctx, o.GetName(), types.ApplyPatchType, text, metav1.PatchOptions{
		FieldManager: manager, Force: ptr.To(true), FieldValidation: metav1.FieldValidationStrict})
	switch {
	case unnamed(err): // it is the kind that is not there: what is missing otherwise, such as a namespace, has a name
		return a.unlessDefined(ctx, kind, err)
	case webhookAway(err):
		if err := a.withoutWebhook(ctx, o, before, errBefore, err); err != nil {
			return err
		}
		after = before
	case err != nil:
		return err
	}
	if isNamespace(o) {
		if a.ending[o.GetName()] = after.GetDeletionTimestamp() != nil; a.ending[o.GetName()] {
			return &notYet{fmt.Errorf("it is being deleted; its status says what keeps it: `kubectl get namespace %s -o yaml`", o.GetName())}
		}
	}
	change := "configured"
	switch {
	case apierrors.IsNotFound(errBefore):
		change = "created"
	case errBefore == nil && before.GetResourceVersion() == after.GetResourceVersion():
		change = "unchanged"
	case isDefinition(o):
		a.changed[definedKind(o)] = time.Now()
	}
	a.logger.Info(change, object(o), where(o))
	return nil
}

// withoutWebhook returns what is to be said if an object is refused because a webhook's server is away: nothing if it
// is applied already. Configurations of webhooks stay from one run to the next, and their servers may well be among
// what is applied.
func (a *applier) withoutWebhook(ctx context.Context, o objects.Object, live *unstructured.Unstructured, liveErr, refused error) error {
	refused = fmt.Errorf("%w; the server of that webhook has to run: start it, or delete the webhook's configuration", refused)
	if liveErr != nil {
		return refused
	}
	same, err := a.hasApplied(ctx, o, live)
	switch {
	case err != nil:
		return fmt.Errorf("%w (whether it is applied already cannot be found out: %v)", refused, err)
	case !same:
		return refused
	}
	return nil
}

// resource is where the object is in the API.
func (a *applier) resource(o objects.Object, mapping *meta.RESTMapping) dynamic.ResourceInterface {
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return a.client.Resource(mapping.Resource)
	}
	namespace := o.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return a.client.Resource(mapping.Resource).Namespace(namespace)
}

func object(o objects.Object) zap.Field { return zap.Stringer("object", o) }

func where(o objects.Object) zap.Field { return zap.String("manifest", o.At()) }

// objectKey is the context's key for the object that a request is about.
type objectKey struct{}

// warnings logs what the API has to say to objects that it takes.
type warnings struct{ logger *zap.Logger }

// HandleWarningHeaderWithContext is called for each warning.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	// the only code that Kubernetes uses
	if o, ok := ctx.Value(objectKey{}).(objects.Object); ok && code == 299 && text != "" {
		w.logger.WithOptions(zap.WithCaller(false)).Warn(text, object(o), where(o))
	}
}
