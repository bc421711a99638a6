package system

import (
	"os"
	"syscall"
	"testing"
)

// What the console sends by itself is not sent again, and ends nobody.
func TestSignalGroupLeavesConsoleSignals(t *testing.T) {
	cmd, _, release := startAwaited(t)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !SignalGroup(cmd.Process.Pid, s) {
			t.Errorf("%v: there is no process", s)
		}
	}
	release()
	wantCode(t, cmd)

	cmd, file, release := startAwaited(t)
	defer release()
	if !SignalGroup(cmd.Process.Pid, os.Kill) {
		t.Error("it cannot be killed")
	}
	_ = cmd.Wait() // it was killed
	if _, err := os.Stat(file); err == nil {
		t.Error("it has ended by itself")
	}
}
