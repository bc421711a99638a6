package manifests

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// What is tried again is what may be over in a moment, and nothing that a user has to mend.
func TestPasses(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	forbidden := func(text string) error { return apierrors.NewForbidden(pods, "p", errors.New(text)) }
	plain := func(text string) error { // as the API server tells an error that is none of the API's
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusInternalServerError, Message: text}}
	}
	class := named("scheduling.k8s.io/v1", "PriorityClass", "high")
	terminating := apierrors.NewForbidden(pods, "p", errors.New("x"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, test := range map[string]struct {
		err  error
		all  []objects.Object
		want bool
	}{
		"no answer":                {&url.Error{Op: "Patch", Err: errors.New("connection refused")}, nil, true},
		"marked":                   {&notYet{errors.New("x")}, nil, true},
		"conflict":                 {apierrors.NewConflict(pods, "p", errors.New("x")), nil, true},
		"too many requests":        {apierrors.NewTooManyRequests("x", 1), nil, true},
		"webhook away":             {apierrors.NewInternalError(errors.New(`failed calling webhook "x"`)), nil, true},
		"aggregated API away":      {apierrors.NewServiceUnavailable("x"), nil, true},
		"etcd":                     {plain("etcdserver: leader changed"), nil, true},
		"no service account yet":   {forbidden(`error looking up service account n/default: serviceaccount "default" not found`), nil, true},
		"admission not ready":      {forbidden("not yet ready to handle request"), nil, true},
		"priority class of these":  {forbidden("no PriorityClass with name high was found"), []objects.Object{class}, true},
		"priority class of nobody": {forbidden("no PriorityClass with name high was found"), nil, false},
		"quota":                    {forbidden("exceeded quota"), nil, false},
		"invalid":                  {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "p", nil), nil, false},
		"bad request":              {apierrors.NewBadRequest("unknown field"), nil, false},
		"unknown field":            {plain("failed to create typed patch object (/cm; /v1, Kind=ConfigMap): .dada: field not declared in schema"), nil, false},
		"no namespace":             {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), nil, false},
		"namespace of these gone":  {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "n"), []objects.Object{named("v1", "Namespace", "n")}, true},
		"other namespace":          {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "m"), []objects.Object{named("v1", "Namespace", "n")}, false},
		"namespace ends":           {terminating, nil, true},
		"not authenticated":        {apierrors.NewUnauthorized("x"), nil, false},
		"anything else":            {errors.New("x"), nil, false},
	} {
		if got := passes(test.err, test.all); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
