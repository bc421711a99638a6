package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makeSymlinks creates a soft link to this binary for each server and alias. What is there already under such a name is
// left alone; if it is not such a link, that is an error.
func (hk *HyperKube) makeSymlinks() error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir := hk.linkDir
	if dir == "" {
		dir = filepath.Dir(binary)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--dir %s: %w", dir, err)
	}
	var wrong []error
	for _, name := range hk.serverNames() {
		link := filepath.Join(dir, name)
		err := os.Symlink(binary, link)
		if errors.Is(err, fs.ErrExist) {
			if target, readErr := os.Readlink(link); readErr == nil && target == binary {
				err = nil
			} else {
				err = fmt.Errorf("%s is there already, and is not a link to %s: remove it, or choose another folder with --dir", link, binary)
			}
		}
		if err == nil {
			fmt.Fprintln(hk.Out(), link)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}
