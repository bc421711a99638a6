package system

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
)

// IsOpen reports whether others than the owner may read, write or enter a folder, by its mode.
func IsOpen(info fs.FileInfo) bool { return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 }

// OthersWrite reports whether others than the owner may write to a file or folder, by its mode. The mode of a symlink
// lets nobody write, and sockets and devices have no data.
func OthersWrite(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && (info.IsDir() || info.Mode().IsRegular()) && info.Mode().Perm()&0o022 != 0
}

// IsTrusted reports whether a file belongs to this user, or to root, who may do everything anyway.
func IsTrusted(info fs.FileInfo) bool {
	uid, known := ownerOf(info)
	return !known || uid == 0 || uid == os.Geteuid()
}

// IsPrivate reports whether the path is a folder of this user's that nobody else may enter, and not a symlink to one.
func IsPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || IsOpen(info) {
		return false
	}
	uid, known := ownerOf(info)
	return !known || uid == os.Geteuid()
}

// Owner is the owner of a file, for a sentence: "root (user 0)", or "user 0" if that has no name.
func Owner(info fs.FileInfo) string {
	uid, _ := ownerOf(info)
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (user %s)", u.Username, id)
	}
	return "user " + id
}

// IsEnterable reports whether others may get to what is in a folder.
func IsEnterable(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o011 != 0
}

// Replaceable is the topmost folder above a path in which others may replace the way to it; empty if there is none.
func Replaceable(path string) string {
	paths := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		paths = append(paths, real)
	}
	for _, path := range paths {
		found := ""
		for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && !IsSafeAbove(info) {
				found = dir
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}
