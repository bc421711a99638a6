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
