// Package ports has ports for tests whose servers cannot be handed a socket.
package ports

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// Range is a range of ports that the tests of one package have to themselves, below those that the system gives away.
type Range struct {
	first, n int32
	next     atomic.Int32
}

// New returns the range of n ports from first on. Where it begins differs, for copies of the tests that run at once.
func New(first, n int32) *Range {
	r := &Range{first: first, n: n}
	r.next.Store(rand.Int32N(n))
	return r
}

// Address is one on loopback, with a port, that nobody listens at, nor will by chance: each port is given once.
func (r *Range) Address(t testing.TB) string {
	t.Helper()
	for range r.n {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(r.first+r.next.Add(1)%r.n))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("there is no free port")
	return ""
}
