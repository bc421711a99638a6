package system

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RaiseTimerSlack sets for all threads, and those that they start, how late a timer may wake them; restore sets what
// was set before. If the process has C code, which has threads of its own, nothing changes.
func RaiseTimerSlack(slack time.Duration) (restore func()) {
	usual, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return func() {}
	}
	set := func(slack uintptr) {
		_, _, _ = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, slack, 0)
	}
	set(uintptr(slack))
	return func() { set(uintptr(usual)) }
}
