package system

import (
	"os/exec"
	"syscall"
)

// DieWithParent has a child die with its parent, however the parent ends. Signals of the terminal, such as Ctrl-C, are
// the parent's business: the child is in a process group of its own.
func DieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
