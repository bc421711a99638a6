package system

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DropBinary takes the binary's code and constants out of the process's memory. What is used again comes back at once,
// in pieces of 64 kB, from the system's cache, where it stays unless somebody else needs the memory. A start goes
// through nearly all of a binary, and what comes after it through a quarter: without this, all of it counts as the
// process's, and as recently used. A mapping in which something has been written, as debuggers do, is left alone. If
// the system does not tell or refuses, nothing changes.
func DropBinary() {
	binary, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	var begin, end uintptr // of the current mapping; both are 0 if that is to stay
	for line := range strings.Lines(string(text)) {
		switch fields := strings.Fields(line); {
		case fields[0] == "Anonymous:" && fields[1] == "0" && end > begin:
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED)
		case !strings.HasSuffix(fields[0], ":"):
			begin, end = 0, 0
			if len(fields) > 5 && strings.HasPrefix(fields[1], "r-") && strings.HasSuffix(strings.TrimSpace(line), " "+binary) {
				begin, end = addresses(fields[0])
			}
		}
	}
}

// addresses are those of a mapping in /proc/PID/smaps, from "400000-4f48000".
func addresses(text string) (begin, end uintptr) {
	first, last, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return 0, 0
	}
	to, err := strconv.ParseUint(last, 16, 64)
	if err != nil {
		return 0, 0
	}
	return uintptr(from), uintptr(to)
}
