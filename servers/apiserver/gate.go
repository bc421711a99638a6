package apiserver

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// gate keeps requests waiting until the server can be used. Upstream answers as soon as it listens, and refuses what its
// authorizer, who has not seen the roles yet, does not know to be allowed: a load balancer that asks /readyz is to keep clients
// away until then. Here there is none, and clients are connected already when the server is restarted.
type gate struct {
	usable <-chan struct{} // closed when it can be used
	ending <-chan struct{} // closed when it is being stopped
	token  string          // by which the server's own requests are known: without them it never gets ready
}

// wrap puts the gate in front of a server's handler chain.
func (g *gate) wrap(build func(http.Handler, *genericapiserver.Config) http.Handler) func(http.Handler, *genericapiserver.Config) http.Handler {
	return func(api http.Handler, c *genericapiserver.Config) http.Handler {
		next := build(api, c)
		late := time.Now().Add(startTime) // from then on there may be something wrong, and the answers may tell what
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-g.usable:
			default:
				if !g.mayPass(r) {
					g.wait(r, time.Until(late))
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// mayPass reports whether a request need not wait: it is the server's own, or asks whether the server is ready.
func (g *gate) mayPass(r *http.Request) bool {
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		if r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") {
			return true
		}
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

func (g *gate) wait(r *http.Request, atMost time.Duration) {
	timer := time.NewTimer(max(0, atMost))
	defer timer.Stop()
	select {
	case <-g.usable:
	case <-g.ending:
	case <-timer.C:
	case <-r.Context().Done():
	}
}
