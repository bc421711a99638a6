package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// What is served is the same when the documents have been emptied.
func TestEmptyDocuments(t *testing.T) {
	var docs documents
	config := docs.collect(sampleV3Config())
	made, err := builder3.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(sampleContainer().RegisteredWebServices()), config)
	if err != nil {
		t.Fatal(err)
	}
	whole := *made
	wanted, service := handler3.NewOpenAPIService(), handler3.NewOpenAPIService()
	wanted.UpdateGroupVersion("apis/samples/v1", &whole)
	service.UpdateGroupVersion("apis/samples/v1", made)
	docs.empty(service.HandleDiscovery)
	if made.Paths != nil || made.Components != nil || docs.made != nil {
		t.Error("it is not empty")
	}
	for _, accept := range []string{"application/json", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"} {
		const path = "/openapi/v3/apis/samples/v1"
		want, got := ask(http.HandlerFunc(wanted.HandleGroupVersion), path, accept), ask(http.HandlerFunc(service.HandleGroupVersion), path, accept)
		if !strings.Contains(want, "is a sample") || got != want {
			t.Errorf("%s: %q, want %q", accept, got, want)
		}
	}
}

// A document is not emptied as long as it cannot be sent.
func TestKeepDocuments(t *testing.T) {
	docs := documents{made: []*spec3.OpenAPI{{Version: "3.0.0"}}}
	docs.empty(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if len(docs.made) != 1 || docs.made[0].Version == "" {
		t.Error("it is emptied")
	}
}
