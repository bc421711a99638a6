//go:build unix

package supervisor

import (
	"io/fs"
	"os"
	"syscall"
)

// isOwn reports whether a file is this user's.
func isOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// bindPrivately has a unix socket made for its owner alone from the beginning, where the system can: a client that gets through before
// its mode is changed stays.
func bindPrivately(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) }) // on others than Linux it is changed afterwards
}
