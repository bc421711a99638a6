package apiserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// The paths at which the documents are for clients, and for the aggregator, which merges what is there with those of
// others.
const (
	openAPIPath   = "/openapi/v2"
	openAPIV3Path = "/openapi/v3"
)

// serveOpenAPI serves the document of OpenAPI v2 about what the container serves. It is made when somebody asks for it.
// Upstream makes it at each start and keeps it (k8s.io/apiserver/pkg/server/routes.OpenAPI.InstallV2), and most
// clusters are never asked: kubectl and server-side apply go by v3.
func serveOpenAPI(config *common.Config, container *restful.Container, mux common.PathHandler) {
	document := cached.Once(cached.Func(func() (*spec.Swagger, string, error) {
		own := *config // the builder leaves itself in it
		made, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(container.RegisteredWebServices()), &own)
		if err != nil {
			return nil, "", err
		}
		made.Definitions = handler.PruneDefaults(made.Definitions)
		return made, "never changes", nil // the built-in types are the same until the end
	}))
	handler.NewOpenAPIServiceLazy(document).RegisterOpenAPIVersionedService(openAPIPath, mux)
}

// serveOpenAPIV3 serves the documents of OpenAPI v3 about what the container serves, one for each group and version.
// Each is made, by upstream's InstallV3, when somebody asks for it. Upstream makes all of them at each start, and
// again, as JSON, for the hashes that the list of documents has: more than half a second of work, and 7 MB, where most
// clients ask for one or two. The list has no hashes here; clients find out by the ETag of a document, as they do at
// older servers, that they have it already.
func serveOpenAPIV3(config *common.OpenAPIV3Config, container *restful.Container, target common.PathHandlerByGroupVersion) error {
	list := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	documents := map[string]func() http.Handler{}
	for _, service := range container.RegisteredWebServices() {
		name := strings.TrimPrefix(service.RootPath(), "/") // such as apis/apps/v1
		list.Paths[name] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: path.Join(openAPIV3Path, name)}
		documents[name] = sync.OnceValue(func() http.Handler {
			own := *config // the builder leaves itself in it
			alone := restful.NewContainer().Add(service)
			document := mux.NewPathRecorderMux(name)
			routes.OpenAPI{V3Config: &own}.InstallV3(alone, document)
			return document
		})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	since := time.Now()
	target.Handle(openAPIV3Path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		http.ServeContent(w, r, "", since, bytes.NewReader(text))
	}))
	target.HandlePrefix(openAPIV3Path+"/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := documents[strings.TrimPrefix(r.URL.Path, openAPIV3Path+"/")]
		if document == nil {
			http.NotFound(w, r)
			return
		}
		document().ServeHTTP(w, r)
	}))
	return nil
}

// forgetBuilders takes out of the configs what was needed to make OpenAPI documents: all definitions, and the first
// builder with its document, which a function holds that it has set there. Documents that are made later get their own.
func forgetBuilders(configs ...*genericapiserver.Config) {
	for _, config := range configs {
		if v2 := config.OpenAPIConfig; v2 != nil {
			v2.GetOperationIDAndTagsFromRoute = nil
		}
		if v3 := config.OpenAPIV3Config; v3 != nil {
			v3.GetOperationIDAndTagsFromRoute, v3.Definitions = nil, nil
		}
	}
}
