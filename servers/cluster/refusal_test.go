package cluster

import (
	"errors"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// What refuses a request is found by what the API server says, and by what there is.
func TestRefusal(t *testing.T) {
	client := fake.NewClientset(
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Webhooks: []admissionv1.ValidatingWebhook{{Name: "else.example"}}},
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "checks"}, Webhooks: []admissionv1.ValidatingWebhook{{Name: "a.example"}, {Name: "b.example"}}},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "changes"}, Webhooks: []admissionv1.MutatingWebhook{{Name: "c.example"}}},
		&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few", Namespace: "team"}},
	)
	for _, test := range []struct{ text, want, blind string }{
		{`Internal error occurred: failed calling webhook "b.example": failed to call webhook: Post "https://x/": connection refused`,
			"validatingwebhookconfiguration checks", "validatingwebhookconfiguration CONFIGURATION"},
		{`admission webhook "c.example" denied the request: no`, "mutatingwebhookconfiguration changes", "validatingwebhookconfiguration CONFIGURATION"},
		{`nodes "n" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`, "validatingadmissionpolicybinding b", "validatingadmissionpolicybinding b"},
		{`nodes "n" is forbidden: policy 'p' with binding 'm' denied request: no`, "mutatingadmissionpolicybinding m", "mutatingadmissionpolicybinding m"},
		{`pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1`,
			"resourcequota few --namespace=team", "resourcequota few --namespace=NAMESPACE"},
	} {
		err := errors.New(test.text)
		if !Refused(err) {
			t.Errorf("it is taken for no refusal: %s", test.text)
			continue
		}
		if got := find(t.Context(), client, err).String(); got != test.want {
			t.Errorf("%s: %s is found, want %s", test.text, got, test.want)
		}
		// In a cluster elsewhere people have to look.
		if got := New().Refusal(t.Context(), err).Error(); got != test.text+"; remove it with `kubectl delete "+test.blind+"`, or mend it" {
			t.Error(got)
		}
	}
	full := New().Refusal(t.Context(), errors.New("etcdserver: mvcc: database space exceeded"))
	if full == nil || !strings.Contains(full.Error(), "--quota-backend-bytes") {
		t.Error(full)
	}
	if got := (&Refusal{Err: errors.New("no"), Repair: "km repair"}).Error(); got != "no; make room in etcd with `km repair`" {
		t.Error(got)
	}
	for _, other := range []error{nil, errors.New(`nodes is forbidden: User "x" cannot list resource "nodes"`)} {
		if Refused(other) || New().Refusal(t.Context(), other) != nil {
			t.Errorf("it is taken for a refusal: %v", other)
		}
	}
	// Two are in the way, one of the removal of the other.
	both := &Refusal{Err: errors.New("no"), Remove: []string{"first", "then"}}
	if got := both.Error(); got != "no; remove what is in the way with `first`, then with `then`" {
		t.Error(got)
	}
}
