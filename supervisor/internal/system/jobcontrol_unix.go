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

// CatchForwarded sends the signals that are passed on to the command, beside those that ask this process to stop.
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
	if n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGHUP { // a stopped process would not see it
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

// Terminal is the controlling terminal of this process. A nil *Terminal is none.
type Terminal struct{ fd int }

// OwnTerminal returns that terminal, or nil.
func OwnTerminal() *Terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &Terminal{fd}
}

// foreground is the foreground process group of the terminal, or -1.
func (t *Terminal) foreground() int {
	pgid, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return pgid
}

// HandTo has a command start in the foreground of the terminal: Ctrl-C and Ctrl-Z are then for it alone. It does
// nothing if this process is not in the foreground, or is part of a pipe, since the pipe's others may want the
// terminal.
func (t *Terminal) HandTo(cmd *exec.Cmd) {
	if t != nil && followsStops && IsTerminal(os.Stdin) && IsTerminal(os.Stdout) && t.foreground() == unix.Getpgrp() {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, t.fd
	}
}

// TakeBack puts this process's group into the foreground again, if the command's group is there, or one that has ended.
func (t *Terminal) TakeBack(pgid int) {
	if t == nil {
		return
	}
	if has := t.foreground(); has == pgid || has > 0 && syscall.Kill(-has, 0) == syscall.ESRCH {
		t.give(unix.Getpgrp())
	}
}

// give puts a group into the foreground. The system stops a background process that does so, unless it ignores SIGTTOU.
func (t *Terminal) give(pgid int) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, pgid) // the terminal may be gone
	signal.Reset(syscall.SIGTTOU)
}
