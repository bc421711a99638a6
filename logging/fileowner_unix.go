//go:build unix

package logging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// refuseOthers refuses a file or symlink of another user, except root. In a folder for everybody, such as /tmp, it may
// be a trap: a symlink through which this process writes to files that its owner may not touch, or a file whose owner
// reads what is logged.
func refuseOthers(path string) error {
	for _, look := range []func(string) (fs.FileInfo, error){os.Lstat, os.Stat} {
		info, err := look(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
			return fmt.Errorf("%s belongs to another user, of number %d: remove it, or name another file or folder", path, stat.Uid)
		}
	}
	return nil
}
