package system

import (
	"os"
	"strconv"
	"strings"
)

// isUnmapped reports whether a number stands for any user without one in the user namespace of this process, such as
// the machine's root in an unprivileged container.
func isUnmapped(uid int) bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(users)), " ") == "0 0 4294967295" { // all have
		return false
	}
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(uid)
}

// Umask is the mode that is removed from files of this process. It is read, not set for a moment, which would count for
// all goroutines.
func Umask() (mask os.FileMode, known bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, text, _ := strings.Cut(string(status), "\nUmask:")
	text, _, _ = strings.Cut(text, "\n")
	bits, err := strconv.ParseUint(strings.TrimSpace(text), 8, 32)
	return os.FileMode(bits), err == nil
}
