package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
)

// While the server is being stopped, upstream lets its own requests through and refuses all others.
func TestOwnRequestsAtAStop(t *testing.T) {
	stopping := make(chan struct{})
	close(stopping)
	handler := ownAgent("own", func(api http.Handler, _ *genericapiserver.Config) http.Handler {
		return filters.WithRetryAfter(api, stopping)
	})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := r.UserAgent(); got != "kube-apiserver/v1.37.2 (linux/amd64) kubernetes" {
			t.Errorf("the user agent is %q", got)
		}
	}), nil)
	for token, want := range map[string]int{"own": http.StatusOK, "owned": http.StatusTooManyRequests, "": http.StatusTooManyRequests} {
		r := httptest.NewRequest(http.MethodPost, "/apis/networking.k8s.io/v1/ipaddresses", nil)
		r.Header.Set("User-Agent", "km/v1.37.2 (linux/amd64) kubernetes")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("with the token %q: %d, want %d", token, w.Code, want)
		}
	}
}
