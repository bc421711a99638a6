package apiserver

import (
	"crypto/subtle"
	"net/http"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// isOwn reports whether a request is the server's own, as the token says by which it knows them.
func isOwn(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// ownAgent gives the server's own requests the user agent of upstream's binary. client-go names them after the process,
// and upstream's filters know them by the name kube-apiserver (k8s.io/apiserver/pkg/server/filters,
// isRequestExemptFromRetryAfter): a server that is being stopped refuses new requests, but not those. Without it a stop
// waits for a request that waits for another one: a Service is made when the IPAddress of it has been, which is asked
// again and again for 50 seconds.
func ownAgent(token string, build handlerChain) handlerChain {
	return func(api http.Handler, c *genericapiserver.Config) http.Handler {
		next := build(api, c)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isOwn(r, token) {
				_, rest, _ := strings.Cut(r.UserAgent(), "/")
				r.Header.Set("User-Agent", upstream+"/"+rest)
			}
			next.ServeHTTP(w, r)
		})
	}
}
