//go:build !go1.27 || http2legacy

package process

import (
	"time"
	_ "unsafe" // for linkname

	_ "golang.org/x/net/http2" // has the variable
)

// goAwayTimeout is how long an HTTP/2 connection stays open after the server has told its client to go away and all its
// requests have been answered, so that the client can read that. Upstream gives no way to set it: with its second, each
// stop takes a second longer. From Go 1.27 on the package has no server of its own, and no such variable.
//
//go:linkname goAwayTimeout golang.org/x/net/http2.goAwayTimeout
var goAwayTimeout time.Duration

// HurryGoAway has idle connections close sooner when a server stops. It belongs before the first server's start:
// nothing guards the variable.
func HurryGoAway() { goAwayTimeout = readGoAway }

// readGoAway is several round trips on one machine, and more than one to most others.
const readGoAway = 50 * time.Millisecond
