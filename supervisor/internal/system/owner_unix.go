//go:build unix

package system

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// ownerOf is the owner of a file.
func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// IsSafeAbove reports whether nobody else can replace a folder of this user's inside the folder info. The owner's
// private group, which has the owner's number on most Linux systems, does not count as somebody else, nor does root's.
func IsSafeAbove(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	uid := int(stat.Uid)
	if !IsTrusted(info) && strconv.Itoa(uid) != os.Getenv("SUDO_UID") && !isUnmapped(uid) {
		return false // sudo leaves the user who called it, who may become root anyway
	}
	mode := info.Mode()
	return mode&os.ModeSticky != 0 || mode.Perm()&0o002 == 0 && (mode.Perm()&0o020 == 0 || stat.Gid == stat.Uid || stat.Gid == 0)
}

// bindPrivately makes a unix socket for its owner alone from the beginning, if the system can: a client that connects
// before its mode is changed would stay.
func bindPrivately(network, _ string, c syscall.RawConn) error {
	if network != "unix" {
		return nil
	}
	// on others than Linux it is changed afterwards
	return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
}
