//go:build !linux

package conformance

import "context"

// newReal says that there is none.
func newReal(_ context.Context, r *run) cluster {
	r.t.Fatal("real nodes are machines with Linux; choose -nodes=simulated")
	return nil
}
