package system

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// awaited is set in the environment of the process that is waited for: to a file.
const awaited = "SYSTEM_TEST_AWAITED"

// beAwaited is that process. It waits for the end of its input, makes the file, and ends.
func beAwaited() {
	if file := os.Getenv(awaited); file != "" {
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil || os.WriteFile(file, nil, 0o600) != nil {
			os.Exit(1)
		}
		os.Exit(awaitedCode)
	}
}

const awaitedCode = 3

// startAwaited starts that process. release has it end.
func startAwaited(t *testing.T) (cmd *exec.Cmd, file string, release func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ends")
	cmd = exec.Command(self, "-test.run=^TestAwaitEnd$")
	cmd.Env = append(os.Environ(), awaited+"="+file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	DieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, file, func() { _ = in.Close() }
}

// wantCode fails the test if the process has not ended by itself.
func wantCode(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	_ = cmd.Wait() // the code says more
	if code := ProcessCode(cmd.ProcessState); code != awaitedCode {
		t.Errorf("it has ended with %d, want %d", code, awaitedCode)
	}
}

// The end is waited for, and is there for others who wait for it.
func TestAwaitEnd(t *testing.T) {
	beAwaited()
	cmd, file, release := startAwaited(t)
	go release()
	for range 2 { // the second time it has ended before
		if !AwaitEnd(cmd.Process.Pid) {
			t.Error("it could not wait")
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("it has not waited: %v", err)
		}
	}
	wantCode(t, cmd)
}
