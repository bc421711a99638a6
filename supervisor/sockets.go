package supervisor

import (
	"errors"
	"net"
	"sync"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// sockets are the listening sockets of one server.
type sockets struct {
	mu        sync.Mutex
	byAddress map[[2]string]*socket // by network and address, as they were asked for
	given     []net.Listener        // to the start of the server that goes on, or is next
}

// socket is one of them.
type socket struct {
	listener net.Listener // nil while it is closed
	address  string       // where it was opened, with the port that it was given
}

// Socket returns a listener on an address, as net.Listen does, for a server that listens with TCP or a unix socket; the
// file of the latter is for its owner alone. The first call opens the socket; further calls with the same address
// return further listeners on the same socket, also when the ones before have been closed. So a server can be restarted
// without losing its port, and a client that connects meanwhile waits a moment instead of being refused. A port of 0 is
// any free one, and stays that one.
//
// Call it in Listen, so that a port that is taken is found before anything starts, and in Build or Run for the listener
// to serve on. It is closed, if Run has not done that, when the start of the server has ended that it was for, whether
// Run was called or not. When the server has been stopped, or has failed, the socket is closed.
func (s *Server) Socket(network, address string) (l net.Listener, err error) {
	k := &s.sockets
	k.mu.Lock()
	defer k.mu.Unlock()
	defer func() {
		if err == nil {
			k.given = append(k.given, l)
		}
	}()
	key := [2]string{network, address}
	so := k.byAddress[key]
	if so == nil {
		so = &socket{address: address}
	}
	if so.listener == nil {
		l, err := system.ListenPrivately(network, so.address)
		if err != nil {
			return nil, err
		}
		so.listener, so.address = l, l.Addr().String()
		if k.byAddress == nil {
			k.byAddress = map[[2]string]*socket{}
		}
		k.byAddress[key] = so
	}
	f, err := system.SocketFile(so.listener)
	if errors.Is(err, errors.ErrUnsupported) {
		// Where a socket cannot be shared, it is handed over, and opened anew the next time.
		l := so.listener
		so.listener = nil
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

// closeGiven closes the listeners that a start of the server has got, and that it has left open.
func (k *sockets) closeGiven() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.given {
		_ = l.Close() // it is closed already, if all went well
	}
	k.given = nil
}

// closeSockets closes the server's sockets. What has a listener on one of them still can use it.
func (s *Server) closeSockets() {
	k := &s.sockets
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, so := range k.byAddress {
		if so.listener != nil {
			_ = so.listener.Close() // nothing is lost with it
			so.listener = nil
		}
	}
}
