package system

import (
	"os"
	"strconv"
	"strings"
)

// isUnmapped reports whether a number stands for all users who have none in the user namespace of this process, such as
// root of the machine for a container without its rights: whom, cannot be told.
func isUnmapped(uid int) bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(users)), " ") == "0 0 4294967295" { // all have
		return false
	}
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(uid)
}

// Umask is the mode that is taken from what this process makes. It is read, and not set for a moment, as that would
// count for all goroutines.
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
