package component

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// Link is how a component that cannot be stopped reaches the apiserver. Where it is cut, the component, whose loops end
// with the process, learns and tells nothing any more.
type Link struct {
	dialer *connrotation.Dialer
	cut    atomic.Bool
}

// NewLink makes config, from which the component's clients are made, go through a new link.
func NewLink(config *rest.Config) *Link {
	l := &Link{dialer: connrotation.NewDialer((&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext)}
	config.Dial = l.dialer.DialContext
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &linked{l, next} })
	return l
}

// CloseConnections closes all connections; the next request opens a new one.
func (l *Link) CloseConnections() { l.dialer.CloseAll() }

// Cut ends all connections, and refuses new requests.
func (l *Link) Cut() {
	l.cut.Store(true)
	l.dialer.CloseAll()
}

type linked struct {
	link *Link
	next http.RoundTripper
}

var errCut = errors.New("the component is being stopped")

// RoundTrip is that of a http.RoundTripper.
func (c *linked) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.link.cut.Load() {
		return nil, errCut
	}
	return c.next.RoundTrip(r)
}
