package apiserver

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// listener knows the connections that it has accepted and that are still open.
//
// Upstream stops its HTTP server with Shutdown alone (k8s.io/apiserver/pkg/server/secure_serving.go), counting on the
// end of the process to close what Shutdown gives up on. An HTTP/2 connection that is made at that very moment is not
// told to go away (https://go.dev/issue/81153): without closeConns it, and with it the whole server that has ended,
// some 60 MB, stays until it has been idle for 90 seconds, and a client that uses it meanwhile is answered by that
// server.
//
// Shutdown, too, waits for such a connection, and for one whose client has sent nothing yet, until it gives up after
// two seconds. It closes the listener first: with it go the connections on which no request has come in yet.
type listener struct {
	net.Listener
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
	byPeer sync.Map // of those that are open, by the client's address, as a request has it
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, open: map[*conn]struct{}{}}
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if c, ok := accepted.(*net.TCPConn); ok {
		// Upstream does it where it gets such a connection itself. That it cannot be done it ignores, too.
		_ = c.SetKeepAlivePeriod(keepAlivePeriod)
	}
	c := &conn{Conn: accepted, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		accepted.Close()
		return nil, net.ErrClosed
	}
	l.open[c] = struct{}{}
	l.byPeer.Store(accepted.RemoteAddr().String(), c)
	return c, nil
}

// Close ends the listening, and the connections on which no request has come in.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	l.closed = true
	var unused []*conn
	for c := range l.open {
		if !c.used.Load() {
			unused = append(unused, c)
		}
	}
	l.mu.Unlock()
	for _, c := range unused {
		c.Close()
	}
	return err
}

// wrap has the listener know of each connection whether a request has come in on it.
func (l *listener) wrap(build handlerChain) handlerChain {
	return func(api http.Handler, config *genericapiserver.Config) http.Handler {
		next := build(api, config)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, ok := l.byPeer.Load(r.RemoteAddr); ok {
				c.(*conn).used.Store(true)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// closeConns closes the connections that are open.
func (l *listener) closeConns() {
	l.mu.Lock()
	open := l.open
	l.open = map[*conn]struct{}{}
	l.mu.Unlock()
	for c := range open {
		c.Close()
	}
}

type conn struct {
	net.Conn
	listener *listener
	used     atomic.Bool
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	c.listener.byPeer.CompareAndDelete(c.RemoteAddr().String(), c)
	return c.Conn.Close()
}

// keepAlivePeriod is upstream's defaultKeepAlivePeriod.
const keepAlivePeriod = 3 * time.Minute
