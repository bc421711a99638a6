package apiserver

import (
	"testing"

	"k8s.io/apiserver/pkg/storage"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
)

// At a start there is nothing to be removed, and at a stop that is no error: upstream logs one otherwise.
func TestNoEndpoints(t *testing.T) {
	r := &noEndpoints{EndpointReconciler: reconcilers.NewNoneEndpointReconciler()}
	if err := r.RemoveEndpoints("kubernetes", nil, nil); !storage.IsNotFound(err) {
		t.Errorf("at a start: %v", err)
	}
	r.StopReconciling()
	if err := r.RemoveEndpoints("kubernetes", nil, nil); err != nil {
		t.Errorf("at a stop: %v", err)
	}
}
