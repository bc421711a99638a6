package apiserver

import (
	"github.com/emicklei/go-restful/v3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// openAPIPath is where the document is for clients, and for the aggregator, which merges it with those of others.
const openAPIPath = "/openapi/v2"

// serveOpenAPI serves the document of OpenAPI v2 about what the container serves. It is made when somebody asks for it. Upstream makes
// it at each start and keeps it (k8s.io/apiserver/pkg/server/routes.OpenAPI.InstallV2), and most clusters are never asked: kubectl and
// server-side apply go by v3.
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

// forgetBuilders takes out of the configs what was needed to make OpenAPI documents: all definitions, and the first builder with its
// document, which a function holds that it has set there. Documents that are made later get their own.
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
