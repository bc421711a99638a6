package process

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/endpoints/handlers/finisher"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/routine"
	"k8s.io/client-go/util/cert"
)

// serve serves HTTP/1 and HTTP/2 with TLS, as the apiserver does and with the filters in which it guards requests,
// until ctx ends.
func serve(ctx context.Context) (address string, err error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		return "", err
	}
	content, err := dynamiccertificates.NewStaticCertKeyContent("faulty", certificate, key)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api"), GrouplessAPIPrefixes: sets.NewString("api")}
	long := func(*http.Request, *request.RequestInfo) bool { return true }
	short := func(*http.Request, *request.RequestInfo) bool { return false }
	mux := http.NewServeMux()
	for name, handler := range requests {
		mux.Handle("/"+name, handler)
		mux.Handle("/short/"+name, filters.WithTimeoutForNonLongRunningRequests(handler, short))
		mux.Handle("/long/"+name, routine.WithRoutine(handler, long))
	}
	h := filters.WithPanicRecovery(withRequestInfo(mux, resolver), resolver)
	_, _, err = (&server.SecureServingInfo{Listener: l, Cert: content}).Serve(h, time.Second, ctx.Done())
	return l.Addr().String(), err
}

func withRequestInfo(next http.Handler, resolver request.RequestInfoResolver) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := resolver.NewRequestInfo(r); err == nil {
			r = r.WithContext(request.WithRequestInfo(r.Context(), info))
		}
		next.ServeHTTP(w, r)
	})
}

// requests are what goes wrong with one.
var requests = map[string]http.HandlerFunc{
	"fine":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is well") },
	"panic": func(http.ResponseWriter, *http.Request) { panic(ink) },
	"deep":  func(http.ResponseWriter, *http.Request) { deep(1000, func() { panic(ink) }) },
	// HandleCrash is called twice for it: in upstream's loop, and for the request.
	"guarded": func(_ http.ResponseWriter, r *http.Request) { guarded(r.Context()) },
	"abort": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("half of it", 1000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"finisher": func(_ http.ResponseWriter, r *http.Request) {
		_, _ = finisher.FinishRequest(r.Context(), func() (apiruntime.Object, error) { guarded(r.Context()); return nil, nil })
	},
	"token": func(w http.ResponseWriter, r *http.Request) {
		all := authenticator.TokenFunc(func(ctx context.Context, _ string) (*authenticator.Response, bool, error) {
			guarded(ctx)
			return nil, true, nil
		})
		_, _, err := tokencache.New(all, false, time.Minute, time.Minute).AuthenticateToken(r.Context(), "secret")
		http.Error(w, err.Error(), http.StatusInternalServerError)
	},
}

// guarded panics in a loop of upstream's.
func guarded(ctx context.Context) {
	_ = wait.ExponentialBackoffWithContext(ctx, wait.Backoff{Steps: 1}, func(context.Context) (bool, error) { panic(ink) })
}
