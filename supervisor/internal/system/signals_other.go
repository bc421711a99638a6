//go:build !unix

package system

import (
	"os"
	"os/signal"
)

// CatchStops sends the signal that asks the process to stop: Ctrl-C.
func CatchStops() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt)
	return c
}

// SignalCode is the exit code of a process that Ctrl-C ended, as a shell of Unix shows it.
func SignalCode(os.Signal) int { return 130 }

// CatchHangup does nothing: there is no such signal.
func CatchHangup(chan<- os.Signal) {}

// Outlive does nothing: there are no such signals.
func Outlive(func()) (restore func()) { return func() {} }
