//go:build unix

package cluster

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/google/renameio/v2"
)

// replaceFile replaces a file, or makes it, in one step. Where there was one that is to be looked like, it has the same
// mode and owner; else it can be read by its owner alone.
func replaceFile(path string, data []byte, was fs.FileInfo) error {
	options := []renameio.Option{renameio.WithPermissions(0o600)}
	if was != nil {
		options = append(options, renameio.WithExistingPermissions())
	}
	pending, err := renameio.NewPendingFile(path, options...)
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }() // it is there only after an error, which is told
	if _, err := pending.Write(data); err != nil {
		return err
	}
	if was != nil {
		keepOwner(pending.File, was)
	}
	return pending.CloseAtomicallyReplace()
}

// keepOwner gives a file that takes the place of another one the same owner. Only root is able to, and needs to.
func keepOwner(f *os.File, before fs.FileInfo) {
	if stat, ok := before.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(stat.Uid), int(stat.Gid))
	}
}
