//go:build !linux

package system

import "time"

// RaiseTimerSlack changes nothing: only Linux has such a thing.
func RaiseTimerSlack(time.Duration) (restore func()) { return func() {} }
