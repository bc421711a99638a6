//go:build unix

package supervisor

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// endSignal asks a process to end.
const endSignal = syscall.SIGTERM

// catchForwarded sends the signals that are passed on to a job, beside those that ask the process to stop.
func catchForwarded() chan os.Signal {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	catchHangup(c)
	return c
}

// signalGroup sends a signal to all processes of a group. It returns false if there are none.
func signalGroup(pgid int, s os.Signal) bool {
	n, _ := s.(syscall.Signal)
	if syscall.Kill(-pgid, n) != nil {
		return false
	}
	if n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGHUP { // one that is stopped would not see it
		_ = syscall.Kill(-pgid, syscall.SIGCONT)
	}
	return true
}

// groupExists reports whether there are processes in a group.
func groupExists(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }

// processCode is the exit code of a process as a shell has it.
func processCode(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalCode(status.Signal())
	}
	return p.ExitCode()
}

// terminal is the one that this process has. A nil one is none.
type terminal struct{ fd int }

// ownTerminal returns that terminal, or nil.
func ownTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &terminal{fd}
}

// foreground is the process group that has the keys, or -1.
func (t *terminal) foreground() int {
	pgid, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return pgid
}

// handTo has a command that is yet to be started have the keys: Ctrl-C and Ctrl-Z are for it alone then. It does not if
// this process has not got them, or if it is one of a pipe, since others of that may want them.
func (t *terminal) handTo(cmd *exec.Cmd) {
	if t != nil && followsStops && isTerminal(os.Stdin) && isTerminal(os.Stdout) && t.foreground() == unix.Getpgrp() {
		cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, t.fd
	}
}

// takeBack gives the keys to this process's group again, if the job's has them, or one that has ended.
func (t *terminal) takeBack(pgid int) {
	if t == nil {
		return
	}
	if has := t.foreground(); has == pgid || has > 0 && syscall.Kill(-has, 0) == syscall.ESRCH {
		t.give(unix.Getpgrp())
	}
}

// give gives a group the keys. A process of another group that does so is stopped, unless it ignores the signal for
// that.
func (t *terminal) give(pgid int) {
	signal.Ignore(syscall.SIGTTOU)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, pgid) // the terminal may be gone
	signal.Reset(syscall.SIGTTOU)
}
