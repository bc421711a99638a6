//go:build !go1.27 || http2legacy

package process

import (
	"testing"
	"time"
)

// upstreamGoAway is what the variable is before the first plan sets it.
var upstreamGoAway = goAwayTimeout

// The variable is upstream's: one that exists here alone would be zero.
func TestGoAwayTimeout(t *testing.T) {
	if upstreamGoAway != time.Second {
		t.Errorf("goAwayTimeout was %v, not upstream's second: see golang.org/x/net/http2/server.go", upstreamGoAway)
	}
}
