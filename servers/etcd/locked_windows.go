package etcd

import (
	"errors"
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// locked reports whether an etcd, or something else, has the database open. One that is not there is not locked. Locks
// are of bytes here: this is the one that bbolt locks (bolt_windows.go), beyond the end of any file.
func locked(database string) bool {
	f, err := os.OpenFile(database, os.O_RDWR, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close() // unlocks it, too
	const mine = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	at := windows.Overlapped{Offset: math.MaxUint32, OffsetHigh: math.MaxUint32}
	return windows.LockFileEx(windows.Handle(f.Fd()), mine, 0, 1, 0, &at) != nil
}
