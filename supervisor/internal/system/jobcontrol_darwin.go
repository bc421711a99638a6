package system

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// States of a process, of sys/proc.h.
const (
	stateStopped = 4
	stateZombie  = 5
)

// stops returns what waits until a process is stopped: it returns the signal that has stopped it, or false when the
// process has ended. end is to be called when nobody waits any more.
//
// To wait for it would reap it when it ends, for which others wait. So its state is looked at whenever a child of this
// process has changed.
func stops(pid int) (next func() (by syscall.Signal, ok bool), end func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGCHLD)
	changes <- syscall.SIGCHLD // it may have been stopped before
	return func() (syscall.Signal, bool) {
		for range changes {
			info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
			switch {
			case err != nil || info.Proc.P_stat == stateZombie:
				return 0, false
			case info.Proc.P_stat == stateStopped:
				return syscall.Signal(info.Proc.P_xstat), true
			}
		}
		return 0, false
	}, func() { signal.Stop(changes) }
}
