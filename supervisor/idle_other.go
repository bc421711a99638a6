//go:build !linux

package supervisor

import "time"

// raiseTimerSlack changes nothing: only Linux has such a thing.
func raiseTimerSlack(time.Duration) (restore func()) { return func() {} }
