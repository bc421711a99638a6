package apiserver

import (
	"net"
	"sync"
	"time"
)

// listener knows the connections that it has accepted and that are still open.
//
// Upstream stops its HTTP server with Shutdown alone (k8s.io/apiserver/pkg/server/secure_serving.go), counting on the end of
// the process to close what Shutdown gives up on. An HTTP/2 connection that is made at that very moment is not told to go
// away (https://go.dev/issue/81153): without closeConns it, and with it the whole server that has ended, some 60 MB, stays
// until it has been idle for 90 seconds, and a client that uses it meanwhile is answered by that server.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[*conn]struct{}
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
	l.open[c] = struct{}{}
	return c, nil
}

// closeConns closes the connections that are open.
func (l *listener) closeConns() {
	l.mu.Lock()
	open := l.open
	l.open = map[*conn]struct{}{}
	l.mu.Unlock()
	for c := range open {
		c.Conn.Close()
	}
}

type conn struct {
	net.Conn
	listener *listener
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// keepAlivePeriod is upstream's defaultKeepAlivePeriod.
const keepAlivePeriod = 3 * time.Minute
