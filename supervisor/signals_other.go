//go:build !unix

package supervisor

import (
	"os"
	"os/signal"
)

func catchSignals() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, os.Interrupt)
	return c
}

func signalCode(os.Signal) int { return 130 }

func catchHangup(chan<- os.Signal) {}

func outlive(func()) (restore func()) { return func() {} }
