package system

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

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
		for {
			var info unix.Siginfo
			switch err := unix.Waitid(unix.P_PID, pgid, &info, unix.WSTOPPED, nil); {
			case errors.Is(err, unix.EINTR):
				continue
			case err != nil:
				return // the command has ended
			}
			wants := signalOf(&info) == syscall.SIGTTIN || signalOf(&info) == syscall.SIGTTOU
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

// signalOf is the signal that has stopped a process, which package unix does not tell: si_status behind si_pid and
// si_uid, in a union that is aligned as a pointer (asm-generic/siginfo.h).
func signalOf(info *unix.Siginfo) syscall.Signal {
	union := (unsafe.Sizeof(info.Signo)*3 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), union+2*unsafe.Sizeof(int32(0)))))
}

// AwaitEnd waits until a process has ended, without reaping it: its number stays its own.
func AwaitEnd(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
