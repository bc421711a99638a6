package system

import (
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// EndSignal ends a process: there is none that asks it to.
var EndSignal = os.Kill

// CatchForwarded sends nothing.
func CatchForwarded() chan os.Signal { return make(chan os.Signal) }

// SignalGroup kills the leader if the signal is os.Kill: there are no process groups. It does nothing for others, which
// the console sends to all of its processes by itself.
func SignalGroup(pgid int, s os.Signal) bool {
	if s != os.Kill {
		return true
	}
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

// AwaitEnd waits until a process has ended, and reports whether it could. The number stays the process's own as long as
// this process has it open.
func AwaitEnd(pid int) bool {
	process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(process)
	event, err := windows.WaitForSingleObject(process, windows.INFINITE)
	return err == nil && event == windows.WAIT_OBJECT_0
}
