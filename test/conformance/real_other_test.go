//go:build !linux

package conformance

import "context"

// newReal says that there is none.
func newReal(_ context.Context, r *run) cluster {
	skipOrFail(r.t, "real nodes are machines with Linux; choose -nodes=simulated")
	return nil
}
