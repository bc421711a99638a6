//go:build unix

package cluster

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/google/renameio/v2"
)

// replaceFile replaces a file, which keeps its mode, or makes one for its owner alone, in one step. Where was is not
// nil, the owner stays the same, too.
func replaceFile(path string, data []byte, was fs.FileInfo) error {
	pending, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600), renameio.WithExistingPermissions())
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
