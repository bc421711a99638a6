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

// followsStops reports whether Follow sees that a job has been stopped.
const followsStops = true

// stopTime is how long it takes at most until a process that has stopped itself stands still.
const stopTime = 100 * time.Millisecond

// Follow does what the shell does for its jobs, which knows this process alone: a job that wants the keys gets them,
// and when it has been stopped by Ctrl-Z, this process stops, too, until the shell has it go on. It returns at once.
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
				return // the job has ended
			}
			wants := signalOf(&info) == syscall.SIGTTIN || signalOf(&info) == syscall.SIGTTOU
			has := t.foreground()
			switch {
			case wants && has == unix.Getpgrp():
				t.give(pgid)
			case wants || has == pgid:
				t.suspend(pgid, goesOn)
			default:
				continue // somebody wants it to stand still, who will have it go on
			}
			SignalGroup(pgid, syscall.SIGCONT)
		}
	}()
}

// suspend stops this process, and returns when it goes on.
func (t *Terminal) suspend(pgid int, goesOn <-chan os.Signal) {
	t.TakeBack(pgid)
	select {
	case <-goesOn: // one from before
	default:
	}
	_ = syscall.Kill(0, syscall.SIGTSTP) // cannot fail: it is sent to this process, too
	// It comes back here when the shell says so. Without a shell that could, the signal does nothing.
	select {
	case <-goesOn:
	case <-time.After(stopTime):
	}
	if t.foreground() == unix.Getpgrp() { // and not after bg
		t.give(pgid)
	}
}

// signalOf is the signal that has stopped a process, which package unix does not tell: si_status behind si_pid and
// si_uid, in a union that is aligned as a pointer (asm-generic/siginfo.h).
func signalOf(info *unix.Siginfo) syscall.Signal {
	union := (unsafe.Sizeof(info.Signo)*3 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), union+2*unsafe.Sizeof(int32(0)))))
}

// AwaitEnd waits until a process has ended, and leaves it to others to find that out: its number stays its own.
func AwaitEnd(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
