package kmtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// answer answers a webhook.
func answer(t testing.TB, answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Response = answer(review.Request)
		review.Response.UID = review.Request.UID
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	})
}

// Webhooks in the test's process are asked from the first request on, and not any more when the test has ended; also
// one that refuses everything.
func TestWebhooks(t *testing.T) {
	for _, process := range []bool{false, true} {
		c := kmtest.Start(t, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}})
		maps := client(t, c).CoreV1().ConfigMaps("default")
		more := &admissionregistrationv1.ValidatingWebhookConfiguration{ // of which tests may share the value
			ObjectMeta: metav1.ObjectMeta{Name: "more"},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "more.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Path: new("/more")}},
				Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}}},
			}},
		}
		hooks := kmtest.Webhooks{Paths: []string{"testdata/webhooks"}, Validating: []*admissionregistrationv1.ValidatingWebhookConfiguration{more}}
		for range 5 {
			t.Run("", func(t *testing.T) {
				var asked atomic.Int32
				mux := http.NewServeMux()
				note := func(r *admissionv1.AdmissionRequest) {
					if r.Resource.Resource == "configmaps" {
						asked.Add(1)
					}
				}
				mux.Handle("/mutate", answer(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
					note(r)
					kind := admissionv1.PatchTypeJSONPatch
					return &admissionv1.AdmissionResponse{Allowed: true, PatchType: &kind, Patch: []byte(`[{"op":"add","path":"/data","value":{"by":"test"}}]`)}
				}))
				mux.Handle("/validate", answer(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
					note(r)
					return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "not " + r.Name + ", " + string(r.Object.Raw)}}
				}))
				hooks.Handler = mux
				c.ServeWebhooks(t, hooks)
				if n := asked.Load(); n != 0 {
					t.Errorf("it was asked %d times about what is not the test's", n)
				}
				mux.Handle("/more", answer(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
					return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "no more"}}
				}))
				secrets := client(t, c).CoreV1().Secrets("default")
				_, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
				if err == nil || !strings.Contains(err.Error(), "no more") && !strings.Contains(err.Error(), "not one, ") {
					t.Errorf("process %v: %v", process, err)
				}
				_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
				if err == nil || !strings.Contains(err.Error(), "not one, ") || !strings.Contains(err.Error(), `"by":"test"`) {
					t.Errorf("process %v: %v", process, err)
				}
			})
		}
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
			t.Errorf("process %v: %v", process, err)
		}
	}
}
