package process

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"github.com/seed-200a7251/km/logging"
)

// contain makes a panic that upstream's HandleCrash has caught the failure of the server whose goroutine it is: that
// ends, and the others go on. When contain returns, HandleCrash calls the functions that it was given for this panic,
// and panics again, as upstream has it. (With its variable ReallyCrash it would not, but then a request that is aborted
// by a panic, http.ErrAbortHandler, would look to its client as if it had been answered.)
func contain(logs *logging.Logs, v any) {
	if v != http.ErrAbortHandler { // that is not logged
		// Without it the lines that tell of the panic may not be in the log when it ends the process.
		flush()
		logs.Flush()
	}
	if upstreams() {
		return
	}
	if s := serverOf(logs.Find()); s != nil {
		s.Fail(fmt.Errorf("panic: %v", v))
		runtime.Goexit()
	}
}

// catching are functions below which a panic is upstream's business: they catch it after HandleCrash, and one request
// has failed, or one probe, and not the server. A test sees to it that each of them is still there. Those of closures
// within a function begin with its name.
var catching = []string{
	"net/http.(*conn).serve",
	"net/http.(*http2serverConn).runHandler",
	"net/http/internal/http2.(*serverConn).runHandler", // the same, from Go 1.27 on
	"golang.org/x/net/http2.(*serverConn).runHandler",
	// Goroutines in which the apiserver does a part of a request; what they catch is thrown again in the request's own.
	"k8s.io/apiserver/pkg/server/filters.(*timeoutHandler).ServeHTTP",
	"k8s.io/apiserver/pkg/server/filters.(*priorityAndFairnessHandler).Handle",
	"k8s.io/apiserver/pkg/endpoints/handlers/finisher.finishRequest",
	"k8s.io/apiserver/pkg/authentication/token/cache.(*cachedTokenAuthenticator).doAuthenticateToken",
	// The request would be admitted, as if this webhook had agreed, without the function that HandleCrash is given
	// here.
	"k8s.io/apiserver/pkg/admission/plugin/webhook/validating.(*validatingDispatcher).Dispatch",
	// It probes again.
	"k8s.io/kubernetes/pkg/kubelet/prober.(*worker).doProbe",
	// Nobody catches that of a worker of it, and the process ends: otherwise the request would be answered as if all
	// had been deleted, because it is told by a function that HandleCrash is given, after the worker has counted itself
	// as done.
	"k8s.io/apiserver/pkg/registry/generic/registry.(*Store).DeleteCollection",
}

// inlined is as catching, for a function whose closures are named after the functions that it has been inlined into:
// k8s.io/apiserver/pkg/server/routine.WithRoutine, which is such a part of a request, too.
const inlined = "WithRoutine.func"

// upstreams reports whether the running goroutine, in which HandleCrash has caught a panic, is below one of the
// functions of catching.
func upstreams() bool {
	pcs := make([]uintptr, 128)
	n := runtime.Callers(1, pcs)
	for n == len(pcs) { // what is asked for is the outermost of them
		pcs = make([]uintptr, 4*len(pcs))
		n = runtime.Callers(1, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, inlined) {
			return true
		}
		for _, name := range catching {
			if strings.HasPrefix(frame.Function, name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
