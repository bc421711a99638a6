//go:build unix && !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package system

// AwaitEnd cannot wait.
func AwaitEnd(int) bool { return false }
