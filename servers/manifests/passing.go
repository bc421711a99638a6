package manifests

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// notYet is an error that is over in a moment.
type notYet struct{ error }

func (e *notYet) Unwrap() error { return e.error }

// passes reports whether an error may be over in a moment, where all of these objects are applied. All others are the
// API's last word.
func passes(err error, all []objects.Object) bool {
	if _, ok := errors.AsType[*notYet](err); ok {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		// No answer: the API server restarts.
		_, ok := errors.AsType[*url.Error](err)
		return ok
	}
	text := status.Status().Message
	switch code := status.Status().Code; {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return true // it will be gone, and is made anew if it is one of these
	case apierrors.IsNotFound(err):
		return awaitsNamespace(status.Status().Details, all)
	case apierrors.IsForbidden(err):
		return passesAdmission(text, all)
	case code == http.StatusConflict:
		return true // somebody has written the object at the same time
	case code == http.StatusTooManyRequests:
		return true // the API server has much to do
	case code >= http.StatusInternalServerError:
		// The server of a webhook or of an aggregated API, or etcd, is not there yet. But a field that does not fit is
		// told with this code, too (k8s.io/apimachinery/pkg/util/managedfields/internal/structuredmerge.go).
		return !strings.Contains(text, "failed to create typed patch object")
	}
	return false
}

// passesAdmission reports whether admission refuses an object because it does not know yet of another one, which it
// says in words only.
func passesAdmission(text string, all []objects.Object) bool {
	switch {
	case strings.Contains(text, "not yet ready to handle request"):
		// it has not seen any objects (k8s.io/apiserver/pkg/admission)
		return true
	case strings.Contains(text, "error looking up service account"):
		// The controller-manager makes the one of a new namespace (plugin/pkg/admission/serviceaccount).
		return true
	case strings.Contains(text, "no PriorityClass with name"):
		// one that was made a moment ago (plugin/pkg/admission/priority)
		return slices.ContainsFunc(all, func(o objects.Object) bool { return o.GetKind() == "PriorityClass" })
	}
	return false
}

// awaitsNamespace reports whether what is not there is a namespace that is one of the objects: the one that was there
// is just gone.
func awaitsNamespace(missing *metav1.StatusDetails, all []objects.Object) bool {
	return missing != nil && missing.Kind == "namespaces" && slices.ContainsFunc(all, func(o objects.Object) bool {
		return isNamespace(o) && o.GetName() == missing.Name
	})
}

func isNamespace(o objects.Object) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
}

// webhookAway reports whether the API refuses an object because the server of a webhook does not answer
// (k8s.io/apiserver/pkg/util/webhook/error.go).
func webhookAway(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code >= http.StatusInternalServerError &&
		strings.Contains(status.Status().Message, "failed calling webhook")
}

// unnamed reports whether the API says that something is not there, without saying what.
func unnamed(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}
