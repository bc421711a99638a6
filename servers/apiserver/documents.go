package apiserver

import (
	"net/http"
	"sync"

	"k8s.io/apiserver/pkg/util/responsewriter"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/spec3"
)

// documents are those of OpenAPI v3 that the server has made for itself, one for each group and version of built-in types. What is sent
// of them is made when somebody asks what there is, which the aggregator does at each start; upstream keeps both, and does not look at
// the documents again.
type documents struct {
	mu   sync.Mutex
	made []*spec3.OpenAPI
}

// collect returns a config for the server with which the documents are noted. Those of other servers, which share the config, change.
func (d *documents) collect(config *common.OpenAPIV3Config) *common.OpenAPIV3Config {
	if config == nil {
		return nil
	}
	own := *config
	own.PostProcessSpec = func(made *spec3.OpenAPI) (*spec3.OpenAPI, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.made = append(d.made, made)
		return made, nil
	}
	return &own
}

// empty empties the documents, once discovery, which is the server's answer to what there is, has had the server make of each what is
// sent. If it has not, they stay.
func (d *documents) empty(discovery http.HandlerFunc) {
	question, err := http.NewRequest(http.MethodGet, "/openapi/v3", nil)
	if err != nil {
		return
	}
	answer := responsewriter.NewInMemoryResponseWriter()
	discovery(answer, question) // the answer has a hash of each
	if answer.RespCode() != http.StatusOK {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, made := range d.made {
		*made = spec3.OpenAPI{}
	}
	d.made = nil
}
