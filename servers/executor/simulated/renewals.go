package simulated

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// leaseSeconds is for how long a node counts as alive whose lease has been renewed.
const leaseSeconds = 40

// renewals sees how the leases of the nodes are renewed. When the API server refuses it for longer than a lease lasts,
// nothing is played any more, although kwok, which logs it, goes on: failed is called, once.
type renewals struct {
	next   http.RoundTripper
	failed func(error)

	mu      sync.Mutex
	refused time.Time // since when; zero while they are renewed
}

// RoundTrip is that of an http.RoundTripper.
func (r *renewals) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil && request.Method != http.MethodGet && strings.Contains(request.URL.Path, "/namespaces/"+corev1.NamespaceNodeLease+"/leases") {
		r.seen(response.StatusCode, time.Now())
	}
	return response, err
}

func (r *renewals) seen(status int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case status != http.StatusUnauthorized && status != http.StatusForbidden:
		r.refused = time.Time{}
	case r.refused.IsZero():
		r.refused = now
	case now.Sub(r.refused) >= leaseSeconds*time.Second:
		r.refused = now
		r.failed(fmt.Errorf("the nodes are not played any more: the API server refuses to renew their leases (%d %s); if the executor has lost its "+
			"permissions, the next start of the apiserver gives it them again", status, http.StatusText(status)))
	}
}

// WrappedRoundTripper is that of a k8s.io/apimachinery/pkg/util/net.RoundTripperWrapper.
func (r *renewals) WrappedRoundTripper() http.RoundTripper { return r.next }
