package snapshot

import (
	"errors"

	"golang.org/x/sys/unix"
)

// exchange gives two files or folders each other's name, in one step.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // a file system that cannot, such as NFS
		return exchangeInSteps(a, b)
	}
	return err
}
