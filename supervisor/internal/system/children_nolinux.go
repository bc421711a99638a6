//go:build unix && !linux

package system

import (
	"os/exec"
	"syscall"
)

// DieWithParent puts the child into a process group of its own: signals of the terminal are the parent's business. The
// end of their connection tells the child that the parent has died.
func DieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
