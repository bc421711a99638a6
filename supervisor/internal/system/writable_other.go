//go:build !unix

package system

import (
	"os"
	"syscall"
)

// Writable returns why this process cannot make files in a folder, or nil. Who may write is not known here.
func Writable(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return syscall.ENOTDIR
	}
	return err
}
