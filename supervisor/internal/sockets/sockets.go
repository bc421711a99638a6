// Package sockets keeps the listening sockets of a server, which stay open while the server starts again.
package sockets

import (
	"errors"
	"net"
	"sync"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// Set are the listening sockets of one server. The zero value has none.
type Set struct {
	mu      sync.Mutex
	sockets map[key]*socket
	given   []net.Listener // to the current or next start of the server
}

// key is how a socket is known: by the name that it was given, and how it was asked for.
type key struct{ name, network, address string }

// socket is one of them.
type socket struct {
	listener net.Listener // nil while it is closed
	address  string       // where it was opened, with the port that it was given
}

// Listen returns a listener on an address, as net.Listen does, for TCP or a unix socket; the file of the latter is for
// its owner alone. The first call opens the socket; further calls with the same name and address return further
// listeners on the same socket, also after earlier ones were closed. A port of 0 is any free one, and stays that one.
func (s *Set) Listen(name, network, address string) (l net.Listener, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err == nil {
			s.given = append(s.given, l)
		}
	}()
	k := key{name, network, address}
	so := s.sockets[k]
	if so == nil {
		so = &socket{address: address}
	}
	if so.listener == nil {
		l, err := system.ListenPrivately(network, so.address)
		if err != nil {
			return nil, err
		}
		so.listener, so.address = l, l.Addr().String()
		if s.sockets == nil {
			s.sockets = map[key]*socket{}
		}
		s.sockets[k] = so
	}
	f, err := system.SocketFile(so.listener)
	if errors.Is(err, errors.ErrUnsupported) {
		// A socket that cannot be shared is handed over, and opened anew the next time.
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

// Address is where the socket for this address was opened, with the real port; "" if it was not opened.
func (s *Set) Address(name, network, address string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if so := s.sockets[key{name, network, address}]; so != nil {
		return so.address
	}
	return ""
}

// IsOpen reports whether one of the sockets is open.
func (s *Set) IsOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, so := range s.sockets {
		if so.listener != nil {
			return true
		}
	}
	return false
}

// CloseGiven closes the listeners that Listen has returned since the last call, as far as they are open.
func (s *Set) CloseGiven() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.given {
		_ = l.Close() // it is closed already, if all went well
	}
	s.given = nil
}

// Given are the listeners that CloseGiven would close.
func (s *Set) Given() []net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]net.Listener(nil), s.given...)
}

// Close closes the sockets. Listeners that were returned can still be used.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, so := range s.sockets {
		if so.listener != nil {
			_ = so.listener.Close() // nothing is lost with it
			so.listener = nil
		}
	}
}
