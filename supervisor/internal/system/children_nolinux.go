//go:build unix && !linux

package system

import (
	"os/exec"
	"syscall"
)

// DieWithParent puts the child into a process group of its own: signals of the terminal are the parent's business. That
// the parent has died it learns by the end of their connection.
func DieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
