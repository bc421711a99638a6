//go:build !unix

package supervisor

import (
	"os"
	"os/exec"
)

var endSignal = os.Kill

func catchForwarded() chan os.Signal { return make(chan os.Signal) }

// signalGroup kills the leader, whatever the signal: there are no process groups.
func signalGroup(pgid int, _ os.Signal) bool {
	p, err := os.FindProcess(pgid)
	return err == nil && p.Kill() == nil
}

func groupExists(int) bool { return false }

func processCode(p *os.ProcessState) int { return p.ExitCode() }

type terminal struct{}

func ownTerminal() *terminal { return nil }

func (*terminal) handTo(*exec.Cmd) {}

func (*terminal) takeBack(int) {}

func (*terminal) follow(int) {}

func awaitEnd(int) {}
