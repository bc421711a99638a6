package system

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropBinary takes the binary's code and constants out of the process's memory. What is used again comes back at once
// from the system's cache, where it stays unless somebody else needs the memory. A start goes through nearly all of a
// binary, and what comes after it through a quarter: without this, all of it counts as the process's, and as recently
// used. A mapping in which something has been written, as debuggers do, is left alone. If the system does not tell or
// refuses, nothing changes.
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
			comeAlone(begin, end)
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED)
		case !strings.HasSuffix(fields[0], ":"):
			begin, end = 0, 0
			if len(fields) > 5 && strings.HasPrefix(fields[1], "r-") && strings.HasSuffix(strings.TrimSpace(line), " "+binary) {
				begin, end = addresses(fields[0])
			}
		}
	}
}

// Of linux/userfaultfd.h, which golang.org/x/sys/unix does not have.
const (
	uffdAPI          = 0xAA
	uffdUserModeOnly = 1
	uffdWPAsync      = 1 << 15
	uffdWP           = 1 << 1
	uffdioAPI        = 0xc018aa3f
	uffdioRegister   = 0xc020aa00
)

// writes watches for writes in mappings. It stays open: the system forgets the mappings with it. It is below 0 if the
// system has no such thing: it came with Linux 6.7, and containers may be refused it.
var writes = sync.OnceValue(func() int {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return -1
	}
	request := struct{ api, features, ioctls uint64 }{uffdAPI, uffdWPAsync, 0}
	if _, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uffdioAPI, uintptr(unsafe.Pointer(&request))); errno != 0 {
		_ = unix.Close(int(fd))
		return -1
	}
	return int(fd)
})

// comeAlone has each page of a mapping come into the process by itself. Otherwise 15 of its neighbours come with it,
// and all 16 count as used: of a large binary that is two and a half times of what is. The system brings no neighbours
// where it is to watch for writes, and no other setting of a single process has it leave them. Nobody reads what it has
// watched, and it does not wait for that (userfaultfd's asynchronous mode).
func comeAlone(begin, end uintptr) {
	fd := writes()
	if fd < 0 {
		return
	}
	request := struct{ start, size, mode, ioctls uint64 }{uint64(begin), uint64(end - begin), uffdWP, 0}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uffdioRegister, uintptr(unsafe.Pointer(&request)))
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
