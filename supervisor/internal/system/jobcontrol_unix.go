//go:build unix

package system

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// EndSignal asks a process to end.
const EndSignal = syscall.SIGTERM

// CatchForwarded sends the signals that are passed on to a job, beside those that ask the process to stop.
func CatchForwarded() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	CatchHangup(c)
	return c
}

// SignalGroup sends a signal to all processes of a group. It returns false if there are none.
func SignalGroup(pgid int, s os.Signal) bool {
	n, _ := s.(syscall.Signal)
	if syscall.Kill(-pgid, n) != nil {
		return false
	}
	if n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGHUP { // one that is stopped would not see it
		_ = syscall.Kill(-pgid, syscall.SIGCONT)
	}
	return true
}

// GroupExists reports whether there are processes in a group.
func GroupExists(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }

// ProcessCode is the exit code of a process as a shell has it.
func ProcessCode(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return SignalCode(status.Signal())
	}
	return p.ExitCode()
}

// Terminal is the one that this process has. A nil one is none.
type Terminal struct{ fd int }

// OwnTerminal returns that terminal, or nil.
func OwnTerminal() *Terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &Terminal{fd}
}

// foreground is the process group that has the keys, or -1.
func (t *Terminal) foreground() int {
	pgid, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return pgid
}

// HandTo has a command that is yet to be started have the keys: Ctrl-C and Ctrl-Z are for it alone then. It does not if
// this process has not got them, or if it is one of a pipe, since others of that may want them.
func (t *Terminal) HandTo(cmd *exec.Cmd) {
	if t != nil && followsStops && IsTerminal(os.Stdin) && IsTerminal(os.Stdout) && t.foreground() == unix.Getpgrp() {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, t.fd
	}
}

// TakeBack gives the keys to this process's group again, if the job's has them, or one that has ended.
func (t *Terminal) TakeBack(pgid int) {
	if t == nil {
		return
	}
	if has := t.foreground(); has == pgid || has > 0 && syscall.Kill(-has, 0) == syscall.ESRCH {
		t.give(unix.Getpgrp())
	}
}

// give gives a group the keys. A process of another group that does so is stopped, unless it ignores the signal for
// that.
func (t *Terminal) give(pgid int) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, pgid) // the terminal may be gone
	signal.Reset(syscall.SIGTTOU)
}
