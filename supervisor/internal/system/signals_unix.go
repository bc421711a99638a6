//go:build unix

package system

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// CatchStops sends the signals that ask the process to stop: Ctrl-C and kill. StopSignals ends that.
func CatchStops() chan os.Signal {
	c := make(chan os.Signal, 8) // there may be copies
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	return c
}

// CatchHangup sends the signal for the end of the terminal, too, unless it is ignored, as under nohup.
func CatchHangup(c chan<- os.Signal) {
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
}

// Outlive has the process go on when nobody reads its standard output or standard error any more, or the terminal is
// closed, until restore is called; otherwise the signals that come with it end the process. (If they were ignored,
// child processes would ignore them, too.) told is called once, when the terminal is closed.
func Outlive(told func()) (restore func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	CatchHangup(c)
	go func() {
		tell := sync.OnceFunc(told)
		for s := range c {
			if s == syscall.SIGHUP {
				tell()
			}
		}
	}()
	return func() { StopSignals(c) }
}

// SignalCode is the exit code of a process that a signal ended, as a shell shows it.
func SignalCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}
