package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/seed-200a7251/km/supervisor"
)

// Names of the folder in which a snapshot is written, and of what is in it.
const (
	partFolder = ".snapshot-"
	partFile   = "db"
	partLock   = "lock" // is held as long as it is written
)

// beside makes a place in the folder where a snapshot can be written, and returns what removes it.
func beside(folder string) (part string, remove func() error, err error) {
	place, err := os.MkdirTemp(folder, partFolder)
	if err != nil {
		return "", nil, err
	}
	lock := flock.New(filepath.Join(place, partLock), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(place))
	}
	return filepath.Join(place, partFile), func() error { return errors.Join(os.RemoveAll(place), lock.Close()) }, nil
}

// removeLeft removes what killed processes have left of snapshots in the folder: it has Secrets in it, and is big. What
// belongs to others, or is something else, stays.
func removeLeft(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it can be written to all the same, perhaps
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.IsDir() && strings.HasPrefix(name, partFolder) {
			if err := removePlace(filepath.Join(folder, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removePlace removes what beside has made, if nobody holds it. The folder around may be for everybody: somebody else's
// place is not entered, and what is removed is in the folder that has been looked at, whatever has taken its name
// since.
func removePlace(place string) error {
	before, err := os.Lstat(place)
	if err != nil || !supervisor.IsPrivate(place) {
		return nil
	}
	opened, err := os.OpenRoot(place)
	if err != nil {
		return nil // it is gone
	}
	defer opened.Close()
	if now, err := opened.Stat("."); err != nil || !os.SameFile(before, now) {
		return nil
	}
	lock := flock.New(filepath.Join(place, partLock), flock.SetFlag(os.O_RDWR)) // one that is not there is not made
	if mine, err := lock.TryLock(); err != nil || !mine {
		_ = lock.Close() // it is not held
		return nil
	}
	// The lock comes last: what is left if this process is killed is found again.
	for _, name := range []string{partFile, partFile + ".part", partLock} {
		if err := opened.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return lock.Close()
		}
	}
	_ = os.Remove(place) // there is something else in it
	return lock.Close()
}
