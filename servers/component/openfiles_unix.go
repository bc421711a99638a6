//go:build unix

package component

import "golang.org/x/sys/unix"

// openFiles is how many files this process may have open; 0 if that is not limited, or unknown. Go has raised the limit
// as far as it may.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > 1<<40 {
		return 0
	}
	return uint64(limit.Cur)
}
