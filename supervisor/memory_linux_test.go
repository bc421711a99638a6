package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

// What comes back of the binary comes without its neighbours. (Whether it has, the system tells of whole mappings only:
// "uw", watched by a userfaultfd.)
func TestBinaryComesBackAlone(t *testing.T) {
	if !watchesWrites(t) {
		t.Skip("the system has no userfaultfd that watches for writes by itself, or refuses it to this process")
	}
	system.DropBinary()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	checked, ofBinary := 0, false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case !strings.HasSuffix(fields[0], ":"):
			ofBinary = len(fields) > 5 && fields[5] == binary && strings.HasPrefix(fields[1], "r-")
		case fields[0] == "VmFlags:" && ofBinary:
			checked++
			if !slices.Contains(fields, "uw") {
				t.Errorf("the flags of a mapping are %s", line)
			}
		}
	}
	if checked == 0 {
		t.Errorf("no mapping of %s is in\n%s", binary, text)
	}
}

// watchesWrites reports whether Linux is new enough, and lets this process have a userfaultfd.
func watchesWrites(t *testing.T) bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major < 6 || major == 6 && minor < 7 {
		return false
	}
	const userModeOnly = 1
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|userModeOnly, 0, 0)
	if errno != 0 {
		return false
	}
	return unix.Close(int(fd)) == nil
}
