package system

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stops returns what waits until a process is stopped: it returns the signal that has stopped it, or false when the
// process has ended. end is to be called when nobody waits any more.
func stops(pid int) (next func() (by syscall.Signal, ok bool), end func()) {
	return func() (syscall.Signal, bool) {
		for {
			var info unix.Siginfo
			switch err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED, nil); {
			case errors.Is(err, unix.EINTR):
			case err != nil:
				return 0, false
			default:
				return signalOf(&info), true
			}
		}
	}, func() {}
}

// signalOf is the signal that has stopped a process, which package unix does not tell: si_status behind si_pid and
// si_uid, in a union that is aligned as a pointer (asm-generic/siginfo.h).
func signalOf(info *unix.Siginfo) syscall.Signal {
	union := (unsafe.Sizeof(info.Signo)*3 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), union+2*unsafe.Sizeof(int32(0)))))
}

// AwaitEnd waits until a process has ended, without reaping it: its number stays its own. It reports whether it could.
func AwaitEnd(pid int) bool {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return true
		}
	}
}
