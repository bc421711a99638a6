//go:build darwin || linux

package system

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// followsStops reports whether Follow sees that the command has been stopped.
const followsStops = true

// stopTime is how long a process that has sent itself a stop signal may still run.
const stopTime = 100 * time.Millisecond

// Follow does for the command what a shell does for its jobs; the user's shell knows only this process. If the command
// reads from the terminal, it gets the foreground. If Ctrl-Z stops it, this process stops, too, until the shell
// continues it. It returns at once.
func (t *Terminal) Follow(pgid int) {
	if t == nil {
		return
	}
	go func() {
		goesOn := make(chan os.Signal, 1)
		signal.Notify(goesOn, syscall.SIGCONT)
		defer signal.Stop(goesOn)
		next, end := stops(pgid)
		defer end()
		for {
			by, ok := next()
			if !ok {
				return
			}
			wants := by == syscall.SIGTTIN || by == syscall.SIGTTOU
			has := t.foreground()
			switch {
			case wants && has == unix.Getpgrp():
				t.give(pgid)
			case wants || has == pgid:
				t.suspend(pgid, goesOn)
			default:
				continue // somebody else has stopped it, and will continue it
			}
			SignalGroup(pgid, syscall.SIGCONT)
		}
	}()
}

// suspend stops this process, and returns when it goes on.
func (t *Terminal) suspend(pgid int, goesOn <-chan os.Signal) {
	t.TakeBack(pgid)
	select {
	case <-goesOn: // a signal from before
	default:
	}
	_ = syscall.Kill(0, syscall.SIGTSTP) // cannot fail: it is sent to this process, too
	// This goes on when the shell continues it. If no shell could do that, the stop signal does nothing.
	select {
	case <-goesOn:
	case <-time.After(stopTime):
	}
	if t.foreground() == unix.Getpgrp() { // not after the shell's bg
		t.give(pgid)
	}
}
