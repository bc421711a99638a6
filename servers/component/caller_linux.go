package component

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// EndWithTest has the process end, as by SIGTERM, when the Go test has ended that called it, also if that was killed
// and could not say so. Others may call a server and leave it behind. It is for Linux from 5.3 on; elsewhere nothing
// is changed.
func EndWithTest() {
	parent := os.Getppid()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent))
	if err != nil || !isTest(line) {
		return
	}
	fd, err := unix.PidfdOpen(parent, 0)
	if err != nil {
		return // the kernel does not have it
	}
	go func() {
		// Another process may have got its number before it was opened.
		for os.Getppid() == parent {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err == nil {
				break
			}
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // it cannot fail: this is the process
	}()
}

// isTest reports whether a command line is that of a test's binary, which go test and ginkgo give flags of the package
// testing.
func isTest(line []byte) bool {
	return slices.ContainsFunc(bytes.Split(line, []byte{0})[1:], func(arg []byte) bool {
		return bytes.HasPrefix(arg, []byte("-test.")) || bytes.HasPrefix(arg, []byte("--test."))
	})
}
