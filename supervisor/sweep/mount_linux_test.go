package sweep

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// ignoresSignals reports whether a process has come so far that it ignores SIGTERM, and with it the others.
func ignoresSignals(t *testing.T, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	mask := regexp.MustCompile(`SigIgn:\t([0-9a-f]+)`).FindSubmatch(text)
	if mask == nil {
		t.Fatalf("no SigIgn:\n%s", text)
	}
	ignored, err := strconv.ParseUint(string(mask[1]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return ignored&(1<<(syscall.SIGTERM-1)) != 0
}

// bind mounts a folder at another place until the test ends.
func bind(t *testing.T, from, to string) error {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return err // it takes root
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(to, 0); err != nil {
			t.Error(err)
		}
	})
	return nil
}
