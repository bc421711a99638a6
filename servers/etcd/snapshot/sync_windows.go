package snapshot

import (
	"errors"
	"os"
)

// syncFile has a file on the disk when it returns. It does nothing for a folder: the system has no such thing.
func syncFile(path string) error {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // who may only read may not do it
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
