//go:build !windows

package snapshot

import (
	"errors"
	"os"
)

// syncFile has a file, or the names in a folder, on the disk when it returns.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
