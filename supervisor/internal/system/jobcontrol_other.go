//go:build !unix

package system

import (
	"os"
	"os/exec"
)

// EndSignal ends a process: there is none that asks it to.
var EndSignal = os.Kill

// CatchForwarded sends nothing.
func CatchForwarded() chan os.Signal { return make(chan os.Signal) }

// SignalGroup kills the leader, whatever the signal: there are no process groups.
func SignalGroup(pgid int, _ os.Signal) bool {
	p, err := os.FindProcess(pgid)
	return err == nil && p.Kill() == nil
}

// GroupExists is false: there are no process groups.
func GroupExists(int) bool { return false }

// ProcessCode is the exit code of a process.
func ProcessCode(p *os.ProcessState) int { return p.ExitCode() }

// Terminal has no job control here.
type Terminal struct{}

// OwnTerminal returns nil.
func OwnTerminal() *Terminal { return nil }

// HandTo does nothing.
func (*Terminal) HandTo(*exec.Cmd) {}

// TakeBack does nothing.
func (*Terminal) TakeBack(int) {}

// Follow does nothing.
func (*Terminal) Follow(int) {}

// AwaitEnd does not wait.
func AwaitEnd(int) {}
