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
	mu        sync.Mutex
	byAddress map[[2]string]*socket // by network and address, as they were asked for
	given     []net.Listener        // to the start of the server that goes on, or is next
}

// socket is one of them.
type socket struct {
	listener net.Listener // nil while it is closed
	address  string       // where it was opened, with the port that it was given
}

// Listen returns a listener on an address, as net.Listen does, for TCP or a unix socket; the file of the latter is for
// its owner alone. The first call opens the socket; further calls with the same address return further listeners on the
// same socket, also when the ones before have been closed. A port of 0 is any free one, and stays that one.
func (k *Set) Listen(network, address string) (l net.Listener, err error) {
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

// Address is where the socket was opened that Listen was asked for, with the port that it was given; "" if it has not
// been.
func (k *Set) Address(network, address string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if so := k.byAddress[[2]string{network, address}]; so != nil {
		return so.address
	}
	return ""
}

// IsOpen reports whether one of the sockets is open.
func (k *Set) IsOpen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, so := range k.byAddress {
		if so.listener != nil {
			return true
		}
	}
	return false
}

// CloseGiven closes the listeners that Listen has returned since the last call, as far as they are open.
func (k *Set) CloseGiven() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.given {
		_ = l.Close() // it is closed already, if all went well
	}
	k.given = nil
}

// Given are the listeners that CloseGiven would close.
func (k *Set) Given() []net.Listener {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]net.Listener(nil), k.given...)
}

// Close closes the sockets. What has a listener on one of them still can use it.
func (k *Set) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, so := range k.byAddress {
		if so.listener != nil {
			_ = so.listener.Close() // nothing is lost with it
			so.listener = nil
		}
	}
}
