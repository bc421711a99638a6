package system

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RaiseTimerSlack says for all threads, and for those that they start, how much later than asked for they may be woken
// by a timer; restore says what was said before. Where the process has C code, which has threads of its own, nothing
// changes.
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
