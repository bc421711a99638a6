package system

import (
	"errors"
	"fmt"
	"os"
)

// holderAt is where the number begins in the file. The byte before is what package flock locks: nobody may read or
// write it, not even the process that has the lock.
const holderAt = 1

// NoteHolder writes the number of this process into a lock file, which it has locked.
func NoteHolder(lock string) error {
	f, err := os.OpenFile(lock, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	// A longer number of before is overwritten.
	_, err = f.WriteAt(fmt.Appendf(nil, "%12s", holderText()), holderAt)
	return errors.Join(err, f.Close())
}
