//go:build unix

package cluster

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file that takes the place of another one the same owner. Only root is able to, and needs to.
func keepOwner(f *os.File, before fs.FileInfo) {
	if stat, ok := before.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(stat.Uid), int(stat.Gid))
	}
}
