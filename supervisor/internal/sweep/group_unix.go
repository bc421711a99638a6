//go:build unix

package sweep

import (
	"os/exec"
	"syscall"
)

// detach protects a sweeper from signals of the terminal, and from those for the group of the first process.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func killGroup(pgid int) { _ = syscall.Kill(-pgid, syscall.SIGKILL) } // fails if it has ended already
