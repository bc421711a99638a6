package apiserver

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes/scheme"
)

// asked is a request at a gate: what it is answered, and when, from the start on.
type asked struct {
	code  int
	again string
	text  string
	after time.Duration
}

// testGate is a gate in front of a server that answers what the path says.
type testGate struct {
	begin   time.Time
	usable  chan struct{}
	end     context.CancelFunc
	served  chan struct{} // closed when what is stuck goes on
	handler http.Handler
}

func newTestGate(t *testing.T) *testGate {
	ctx, cancel := context.WithCancel(t.Context())
	g := &testGate{begin: time.Now(), usable: make(chan struct{}), end: cancel, served: make(chan struct{})}
	gate := &gate{usable: g.usable, ctx: ctx, token: "own", serializer: scheme.Codecs.WithoutConversion()}
	g.handler = gate.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/forbidden"):
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/unknown"):
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		case strings.HasSuffix(r.URL.Path, "/missing"):
			http.NotFound(w, r)
			return
		case strings.HasSuffix(r.URL.Path, "/invalid"):
			w.WriteHeader(http.StatusUnprocessableEntity)
		case strings.HasSuffix(r.URL.Path, "/stuck"):
			select {
			case <-g.served:
			case <-r.Context().Done():
				w.WriteHeader(http.StatusGatewayTimeout)
			}
		}
		_, _ = io.WriteString(w, "text")
	}), g.begin.Add(startTime))
	return g
}

// ask returns what gets the answer to a request.
func (g *testGate) ask(path, token string) <-chan asked {
	answer := make(chan asked, 1)
	go func() {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		g.handler.ServeHTTP(w, r)
		answer <- asked{w.Code, w.Header().Get("Retry-After"), w.Body.String(), time.Since(g.begin)}
	}()
	return answer
}

// A request waits until the server can be used, and for some time at most. Then what is allowed is done, and what is
// refused is not yet.
func TestGate(t *testing.T) {
	for _, test := range []struct {
		name, path, token string
		usable            time.Duration // after the start; never if 0
		asks              time.Duration // when it is asked
		code              int
		again             bool
		after             time.Duration // when it is answered
	}{
		{"in time", "/api/v1/forbidden", "", 3 * time.Second, 0, 403, false, 3 * time.Second},
		{"when it can be used", "/api/v1/forbidden", "", time.Second, 2 * time.Second, 403, false, 2 * time.Second},
		{"forbidden too early", "/api/v1/forbidden", "", 0, 0, 503, true, startTime},
		{"unknown too early", "/api/v1/unknown", "", 0, 0, 503, true, startTime},
		{"missing too early", "/api/v1/missing", "", 0, 0, 503, true, startTime},
		{"allowed", "/api/v1/pods", "", 0, 0, 200, false, startTime},
		{"allowed, and invalid", "/api/v1/invalid", "", 0, 0, 422, false, startTime},
		{"what somebody may do", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "", 0, 0, 503, true, startTime},
		{"whoever somebody is", "/apis/authentication.k8s.io/v1/tokenreviews", "", 0, 0, 503, true, startTime},
		{"however late", "/api/v1/forbidden", "", 0, time.Hour, 503, true, time.Hour + holdTime},
		{"late, and in time", "/api/v1/pods", "", time.Hour + time.Second, time.Hour, 200, false, time.Hour + time.Second},
		{"health", "/livez", "", 0, 0, 200, false, 0},
		{"a part of health", "/readyz/forbidden", "", 0, 0, 403, false, 0},
		{"the server's own", "/api/v1/forbidden", "own", 0, 0, 403, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newTestGate(t)
				if test.usable > 0 {
					time.AfterFunc(test.usable, func() { close(g.usable) })
				}
				time.Sleep(test.asks)
				got := <-g.ask(test.path, test.token)
				if got.code != test.code || got.after != test.after || (got.again != "") != test.again {
					t.Errorf("the answer is %+v", got)
				}
				if test.again != strings.Contains(got.text, `"retryAfterSeconds":`) || test.again && strings.Contains(got.text, "who?") {
					t.Errorf("the text is %q", got.text)
				}
			})
		})
	}
}

// A stop that comes before the server can be used waits for no request: neither for those that are held, nor for its
// own.
func TestGateEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(t)
		held, own := g.ask("/api/v1/forbidden", ""), g.ask("/api/v1/stuck", "own")
		synctest.Wait()
		g.end()
		if got := <-held; got.code != http.StatusServiceUnavailable || got.again == "" || got.after != 0 {
			t.Errorf("one that is held is answered %+v", got)
		}
		if got := <-own; got.code != http.StatusGatewayTimeout || got.after != 0 {
			t.Errorf("the server's own is answered %+v", got)
		}
	})
}

// A request that is held when what waits for etcd is abandoned is not done, and its client is told so.
func TestGateAbandons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, requests := newTestGate(t), newAbandonable()
		inner := g.handler
		g.handler = requests.wrap(func(http.Handler, *genericapiserver.Config) http.Handler { return inner })(nil, nil)
		held := g.ask("/api/v1/pods", "")
		synctest.Wait()
		requests.abandon()
		if got := <-held; got.code != http.StatusServiceUnavailable || got.again == "" || got.after != 0 {
			t.Errorf("it is answered %+v", got)
		}
	})
}

// A stop of a server that can be used leaves requests from before alone: they are served, as long as that takes.
func TestGateDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGate(t)
		own := g.ask("/api/v1/stuck", "own")
		synctest.Wait()
		close(g.usable)
		g.end()
		synctest.Wait()
		close(g.served)
		if got := <-own; got.code != http.StatusOK {
			t.Errorf("it is answered %+v", got)
		}
	})
}
