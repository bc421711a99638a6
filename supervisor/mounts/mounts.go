// Package mounts removes folders, but not what is mounted below them.
//
// It is for whoever removes a folder in which others may have mounted something, as container runtimes do for volumes:
// the framework with its data folder, and servers with folders of their own.
package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MountedError says that a folder was not removed because something is mounted below it.
type MountedError struct {
	Folder string
	Mounts []string // paths
}

func (e *MountedError) Error() string {
	return fmt.Sprintf("%s is not removed: below it is mounted what may be needed elsewhere; unmount it first: umount %s",
		e.Folder, strings.Join(e.Mounts, " "))
}

// RemoveAll removes a folder and all that is in it, as os.RemoveAll does. If something is mounted below it, nothing is
// removed, and the error is a *MountedError: a folder of the machine that a container had as its volume would be
// emptied with it. A folder that is not there is no error.
func RemoveAll(folder string) error {
	if err := Check(folder); err != nil {
		return err
	}
	return os.RemoveAll(folder)
}

// Check returns a *MountedError if something is mounted below the folder, or below the target if it is a symlink. What
// is mounted at the folder itself does not count.
func Check(folder string) error {
	real, err := filepath.EvalSymlinks(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil { // mounts have absolute paths
		return err
	}
	mounts, err := mountsBelow(real)
	if err != nil {
		return fmt.Errorf("%s is not removed, since it is not known what is mounted below it: %w", folder, err)
	}
	if len(mounts) > 0 {
		return &MountedError{folder, mounts}
	}
	return nil
}
