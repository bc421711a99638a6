package apiserver

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/util/responsewriter"
	"k8s.io/client-go/rest"
)

// inProcess is how the server is asked without a connection, as soon as it can answer.
type inProcess struct {
	handler http.Handler
	token   string // by which the server knows its own requests
}

// RoundTrip has the server answer a request. A watch would have no end.
func (p *inProcess) RoundTrip(r *http.Request) (response *http.Response, err error) {
	own := r.Clone(r.Context())
	own.Header.Set("Authorization", "Bearer "+p.token)
	if own.Body == nil {
		own.Body = http.NoBody // as it is in a server
	}
	answer := responsewriter.NewInMemoryResponseWriter()
	defer func() {
		if v := recover(); v != nil { // as net/http does: a handler panics to abort an answer
			response, err = nil, fmt.Errorf("the request was aborted: %v", v)
		}
	}()
	p.handler.ServeHTTP(answer, own)
	return &http.Response{StatusCode: cmp.Or(answer.RespCode(), http.StatusOK), Header: answer.Header(),
		Body: io.NopCloser(bytes.NewReader(answer.Data())), Request: r}, nil
}

// clientOf returns the config of clients whose requests go there. They are not limited.
func clientOf(transport http.RoundTripper) *rest.Config {
	return &rest.Config{Host: "in-process", Transport: transport, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf}}
}
