package mounts

import (
	"syscall"
	"testing"
)

// bind mounts a folder at another place until the test ends.
func bind(t *testing.T, from, to string) error {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return err // it takes root
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(to, 0); err != nil {
			t.Error(err)
		}
	})
	return nil
}
