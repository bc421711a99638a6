//go:build !unix

package sweep

import (
	"os"
	"os/exec"
)

func detach(*exec.Cmd) {}

// killGroup kills the leader: there are no process groups.
func killGroup(pgid int) {
	if p, err := os.FindProcess(pgid); err == nil {
		_ = p.Kill() // fails if it has ended already
	}
}
