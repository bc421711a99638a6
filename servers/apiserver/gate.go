package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// gate keeps requests waiting until the server can be used. Upstream answers as soon as it listens, and refuses what
// its authorizer, who has not seen the roles yet, does not know to be allowed: a load balancer that asks /readyz is to
// keep clients away until then. Here there is none, and clients are connected already when the server is restarted.
//
// A start may take long, and may be hindered by what only its users can remove: a request does not wait for ever. What
// is allowed as far as the server knows is done then. What it refuses, it is not sure of yet, and its client is told to
// try again later.
type gate struct {
	usable     <-chan struct{} // closed when it can be used
	ctx        context.Context // ends when it is being stopped
	token      string          // by which the server's own requests are known: without them it never gets ready
	serializer runtime.NegotiatedSerializer
}

const (
	// holdTime is how long a request waits once the start has taken startTime. Clients allow for more: a kubelet ten
	// seconds.
	holdTime = 5 * time.Second
	// againSeconds is after how many seconds a client is told to try again. client-go does so ten times.
	againSeconds = 2
)

// wrap puts the gate in front of a server's handler chain.
func (g *gate) wrap(build handlerChain) handlerChain {
	return func(api http.Handler, c *genericapiserver.Config) http.Handler {
		g.serializer = c.Serializer
		return g.guard(build(api, c), time.Now().Add(startTime))
	}
}

// guard is next behind the gate. From the time late on, there may be something wrong, and the answers may tell what.
func (g *gate) guard(next http.Handler, late time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.isUsable() {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(g.ctx, func() {
			if !g.isUsable() { // what it waits for may never come, and the stop waits for it
				cancel()
			}
		})()
		r = r.WithContext(ctx)
		if g.mayPass(r) {
			next.ServeHTTP(w, r)
			return
		}
		g.wait(ctx, max(time.Until(late), holdTime))
		switch {
		case g.isUsable():
			next.ServeHTTP(w, r)
		case ctx.Err() != nil || asksForRights(r): // who is abandoned waits for an answer, and none means 200
			g.later(w, r)
		default:
			next.ServeHTTP(responsewriter.WrapForHTTP1Or2(&unsure{ResponseWriter: w, gate: g, r: r}), r)
		}
	})
}

func (g *gate) isUsable() bool { return isClosed(g.usable) }

// mayPass reports whether a request need not wait: it is the server's own, or asks whether the server is ready.
func (g *gate) mayPass(r *http.Request) bool {
	return isUnder(r.URL.Path, "/livez", "/readyz", "/healthz") || isOwn(r, g.token)
}

// isUnder reports whether a path is one of these, or below.
func isUnder(path string, above ...string) bool {
	return slices.ContainsFunc(above, func(a string) bool { return path == a || strings.HasPrefix(path, a+"/") })
}

// asksForRights reports whether a request asks what somebody may do, or who it is: the answer is one of success,
// whatever it says.
func asksForRights(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/apis/authorization.k8s.io/") || strings.HasPrefix(r.URL.Path, "/apis/authentication.k8s.io/")
}

// wait waits until the server can be used, for some time at most. It returns earlier when ctx ends.
func (g *gate) wait(ctx context.Context, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-g.usable:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// later answers that the client is to try again.
func (g *gate) later(w http.ResponseWriter, r *http.Request) {
	err := apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: "the API server is starting, and does not know all roles yet: try again",
		Details: &metav1.StatusDetails{RetryAfterSeconds: againSeconds},
	}}
	responsewriters.ErrorNegotiated(&err, g.serializer, schema.GroupVersion{Version: "v1"}, w, r)
}

// unsure is where a server answers that may not have seen all roles, and all else that it starts with: a refusal is
// answered by later.
type unsure struct {
	http.ResponseWriter
	gate    *gate
	r       *http.Request
	decided bool
	dropped bool // the answer was a refusal
}

func (u *unsure) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *unsure) WriteHeader(code int) {
	if u.dropped {
		return
	}
	if !u.decided && mayChange(code) {
		u.decided, u.dropped = true, true
		// of the answer that is not given
		for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding"} {
			u.Header().Del(name)
		}
		u.gate.later(u.ResponseWriter, u.r)
		return
	}
	u.decided = u.decided || code >= http.StatusOK // those before are not the answer
	u.ResponseWriter.WriteHeader(code)
}

func (u *unsure) Write(text []byte) (int, error) {
	if u.dropped {
		return len(text), nil
	}
	u.decided = true
	return u.ResponseWriter.Write(text)
}

// mayChange reports whether an answer may be another one when the server has started: a token is unknown whose
// ServiceAccount has not been read, what roles allow is forbidden, and the namespace "default" is not there yet.
func mayChange(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound
}
