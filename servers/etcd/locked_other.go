//go:build !windows

package etcd

import (
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// locked reports whether an etcd, or something else, has the database open. One that is not there is not locked.
func locked(database string) bool {
	lock := flock.New(database, flock.SetFlag(os.O_RDWR))
	defer lock.Close() // unlocks it, too
	mine, err := lock.TryLock()
	return !mine && !errors.Is(err, fs.ErrNotExist)
}
