package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/emicklei/go-restful/v3"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// sample is what the container of these tests serves.
type sample struct{}

const sampleName = "github.com/seed-200a7251/km/servers/apiserver.sample"

// without it there is no protobuf
var sampleInfo = &spec.Info{InfoProps: spec.InfoProps{Title: "samples", Version: "v1"}}

func sampleContainer() *restful.Container {
	service := new(restful.WebService).Path("/apis/samples/v1").Produces("application/json")
	service.Route(service.GET("/one").To(func(*restful.Request, *restful.Response) {}).Operation("one").Returns(200, "OK", sample{}))
	container := restful.NewContainer()
	container.Add(service)
	return container
}

func sampleDefinitions(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	schema := spec.Schema{SchemaProps: spec.SchemaProps{Description: "is a sample", Type: []string{"object"}}}
	return map[string]common.OpenAPIDefinition{sampleName: {Schema: schema}}
}

func operation(r *restful.Route) (string, []string, error) { return r.Operation, nil, nil }

func sampleConfig() *common.Config {
	//lint:ignore SA1019 the server's own configs have it (k8s.io/apiserver/pkg/server.DefaultOpenAPIConfig)
	return &common.Config{Info: sampleInfo, GetOperationIDAndTags: operation, GetDefinitions: sampleDefinitions}
}

func sampleV3Config() *common.OpenAPIV3Config {
	//lint:ignore SA1019 as above
	return &common.OpenAPIV3Config{Info: sampleInfo, GetOperationIDAndTags: operation, GetDefinitions: sampleDefinitions,
		Definitions: sampleDefinitions(nil)}
}

func ask(h http.Handler, path, accept string) string {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer.Body.String()
}

// The document is made for the first who asks for it, and once.
func TestOpenAPIWhenAsked(t *testing.T) {
	made := 0
	config := sampleConfig()
	config.GetDefinitions = func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		made++
		return sampleDefinitions(ref)
	}
	server := http.NewServeMux()
	serveOpenAPI(config, sampleContainer(), server)
	if made != 0 {
		t.Error("it is made before anybody asks")
	}
	for range 2 {
		if text := ask(server, openAPIPath, "application/json"); !strings.Contains(text, "/apis/samples/v1/one") || !strings.Contains(text, "is a sample") {
			t.Errorf("it lacks what is served: %s", text)
		}
	}
	if made != 1 {
		t.Errorf("it is made %d times", made)
	}
	if config.GetOperationIDAndTagsFromRoute != nil {
		t.Error("the builder is kept")
	}
}

// Each document of v3 is made for the first who asks for it, and once. It is the one that upstream would have made.
func TestOpenAPIV3WhenAsked(t *testing.T) {
	made := 0
	config := sampleV3Config()
	config.Definitions = nil // as when the builders have been forgotten
	config.GetDefinitions = func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		made++
		return sampleDefinitions(ref)
	}
	container := sampleContainer()
	other := new(restful.WebService).Path("/apis/others/v1").Produces("application/json")
	other.Route(other.GET("/two").To(func(*restful.Request, *restful.Response) {}).Operation("two").Returns(200, "OK", sample{}))
	container.Add(other)
	got, upstreams := mux.NewPathRecorderMux("got"), mux.NewPathRecorderMux("upstream's")
	if err := serveOpenAPIV3(config, container, got); err != nil {
		t.Fatal(err)
	}
	routes.OpenAPI{V3Config: sampleV3Config()}.InstallV3(container, upstreams)

	var list handler3.OpenAPIV3Discovery
	if err := json.Unmarshal([]byte(ask(got, openAPIV3Path, "application/json")), &list); err != nil {
		t.Fatal(err)
	}
	if made != 0 {
		t.Error("they are made before anybody asks for one")
	}
	for n, name := range []string{"apis/samples/v1", "apis/others/v1"} {
		at := list.Paths[name].ServerRelativeURL
		for _, accept := range []string{"application/json", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"} {
			want, got := ask(upstreams, at, accept), ask(got, at, accept)
			if !strings.Contains(want, "is a sample") || got != want {
				t.Errorf("%s of %s is %q, want %q", accept, at, got, want)
			}
		}
		if made != n+1 {
			t.Errorf("%d documents have been made when %d have been asked for", made, n+1)
		}
	}
	if config.GetOperationIDAndTagsFromRoute != nil {
		t.Error("a builder is kept")
	}
	if len(list.Paths) != 2 {
		t.Errorf("the list has %v", list.Paths)
	}
	answer := httptest.NewRecorder()
	got.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, openAPIV3Path+"/apis/none/v1", nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("what there is not is answered with %d", answer.Code)
	}
}

// Nothing holds the first document, nor the definitions, when the configs have been cleaned.
func TestForgetBuilders(t *testing.T) {
	config := &genericapiserver.Config{OpenAPIConfig: sampleConfig(), OpenAPIV3Config: sampleV3Config()}
	routes := restfuladapter.AdaptWebServices(sampleContainer().RegisteredWebServices())
	two, err := builder.BuildOpenAPISpecFromRoutes(routes, config.OpenAPIConfig)
	if err != nil {
		t.Fatal(err)
	}
	three, err := builder3.BuildOpenAPISpecFromRoutes(routes, config.OpenAPIV3Config)
	if err != nil {
		t.Fatal(err)
	}
	held2, held3 := weak.Make(two), weak.Make(three)
	forgetBuilders(config)
	runtime.GC()
	if held2.Value() != nil {
		t.Error("the document of v2 is held")
	}
	if held3.Value() != nil {
		t.Error("the document of v3 is held")
	}
	if config.OpenAPIV3Config.Definitions != nil {
		t.Error("the definitions are held")
	}
	if again, err := builder3.BuildOpenAPISpecFromRoutes(routes, config.OpenAPIV3Config); err != nil || again.Paths.Paths["/apis/samples/v1/one"] == nil {
		t.Errorf("no document can be made any more: %v", err)
	}
	runtime.KeepAlive(config)
}
