package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// fileMemory is how much of the process's memory is that of files, in kB.
func fileMemory(t *testing.T) (size int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\nRssFile:")
	if _, err := fmt.Sscan(rest, &size); !found || err != nil {
		t.Skip("the system does not tell how much memory is that of files")
	}
	return size
}

// Most of the binary leaves the process, which goes on. It takes a binary of some size, as that of these tests.
func TestDropBinary(t *testing.T) {
	before := fileMemory(t)
	system.DropBinary()
	if after := fileMemory(t); after > before/2 {
		t.Errorf("%d kB of files are left of %d kB", after, before)
	}
}
