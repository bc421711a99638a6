package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/seed-200a7251/km/servers/cluster"
)

// What refuses the resource Stage is told at once: it is not one that is being deleted.
func TestMakingStagesIsRefused(t *testing.T) {
	crds := schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	for _, refusal := range []*apierrors.StatusError{
		apierrors.NewInternalError(errors.New(`failed calling webhook "v.example.com": failed to call webhook: Post "https://127.0.0.1:1/": refused`)),
		apierrors.NewForbidden(crds, definitionName, errors.New("no role")),
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status := refusal.Status()
			if r.Method == http.MethodGet {
				status = apierrors.NewNotFound(crds, definitionName).Status()
			}
			status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(int(status.Code))
			if err := json.NewEncoder(w).Encode(status); err != nil {
				t.Error(err)
			}
		}))
		err := makeStages(context.Background(), &rest.Config{Host: server.URL})
		server.Close()
		if !cluster.Refused(err) && !apierrors.IsForbidden(err) {
			t.Errorf("%v, want %v", err, refusal)
		}
	}
}
