//go:build unix

package supervisor

import (
	"os"
	"os/signal"
	"syscall"
)

// catchSignals sends the signals that ask the process to stop: Ctrl-C, kill, and the end of the terminal.
func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	return c
}

// signalCode is the exit code of a process that a signal ended, as a shell shows it.
func signalCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return 1
}
