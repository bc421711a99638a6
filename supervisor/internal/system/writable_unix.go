//go:build unix

package system

import (
	"os"

	"golang.org/x/sys/unix"
)

// Writable returns why this process cannot make files in a folder, or nil. Nothing is written.
func Writable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	}
	return unix.Access(dir, unix.W_OK|unix.X_OK)
}
