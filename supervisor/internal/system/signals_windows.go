package system

import (
	"os"
	"os/signal"
	"syscall"
)

// CatchStops sends the signals that ask the process to stop: Ctrl-C, and the end of the console, the session or the
// system, which Go calls SIGTERM. The system waits for some seconds then. StopSignals ends that.
func CatchStops() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c
}

// SignalCode is the exit code of a process that a signal ended, as a shell of Unix shows it.
func SignalCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}

// CatchHangup does nothing: there is no such signal.
func CatchHangup(chan<- os.Signal) {}

// Outlive does nothing: there are no such signals.
func Outlive(func()) (restore func()) { return func() {} }
