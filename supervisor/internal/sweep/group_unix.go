//go:build unix

package sweep

import (
	"os/exec"
	"syscall"
)

// detach keeps the signals of the terminal, and those for the group of the first process, from a sweeper.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func killGroup(pgid int) { _ = syscall.Kill(-pgid, syscall.SIGKILL) } // fails if it has ended already
