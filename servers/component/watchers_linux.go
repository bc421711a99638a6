package component

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// LackWatchers says that this process cannot have so many more instances of inotify, and what to type then; both are
// empty if it can.
func LackWatchers(n int) (lack, remedy string) {
	for range n {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			limit := 0
			lack = "the kernel lets this user have too few more instances of inotify"
			text, _ := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
			if _, err := fmt.Sscan(string(text), &limit); err == nil {
				lack += fmt.Sprintf(" (the limit is %d)", limit)
			}
			return lack, fmt.Sprintf("sysctl fs.inotify.max_user_instances=%d", max(1024, 2*limit))
		}
		defer unix.Close(fd)
	}
	return "", ""
}
