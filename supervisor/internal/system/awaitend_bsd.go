//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package system

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// AwaitEnd waits until a process has ended, without reaping it: its number stays its own. It reports whether it could.
func AwaitEnd(pid int) bool {
	queue, err := unix.Kqueue()
	if err != nil {
		return false
	}
	unix.CloseOnExec(queue)
	defer unix.Close(queue)
	var watch unix.Kevent_t
	unix.SetKevent(&watch, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	watch.Fflags = unix.NOTE_EXIT
	changes, events := []unix.Kevent_t{watch}, make([]unix.Kevent_t, 1)
	for {
		switch n, err := unix.Kevent(queue, changes, events, nil); {
		case errors.Is(err, unix.EINTR): // the change has been made all the same, and may be made again
		case errors.Is(err, unix.ESRCH):
			return true // it has ended before
		case err != nil:
			return false
		case n > 0:
			// What is wrong with a change comes as an event, if there is room for it.
			return events[0].Flags&unix.EV_ERROR == 0 || syscall.Errno(events[0].Data) == unix.ESRCH
		}
	}
}
