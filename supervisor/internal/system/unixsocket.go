package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// MaxSocketPath is how long the path of a unix socket may be: 108 bytes on Linux, 104 on macOS, and a final zero.
const MaxSocketPath = 103

// Where the path is too long, the socket has this name in a temporary folder whose name begins with the prefix.
const (
	linkedSocket    = "socket"
	linkedDirPrefix = "socket-"
)

// ListenUnix opens a unix socket for its owner alone. It replaces what is at the path, unless that is a regular file;
// RemoveUnix removes it. If the path is too long for a socket, it is a symlink to one in a temporary folder.
func ListenUnix(path string) (l net.Listener, err error) {
	RemoveUnix(path)
	defer func() {
		if err != nil {
			RemoveUnix(path)
		}
	}()
	real := path
	if len(path) > MaxSocketPath {
		dir, err := linkedDir()
		if err != nil {
			return nil, err
		}
		real = filepath.Join(dir, linkedSocket)
		if err := os.Symlink(real, path); err != nil {
			return nil, errors.Join(err, os.Remove(dir))
		}
	}
	if l, err = ListenPrivately("unix", real); err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok && real == path {
		u.SetUnlinkOnClose(false) // by then, another run's socket may be there
	}
	return l, nil
}

// ListenPrivately is net.Listen. The file of a unix socket is for its owner alone from the beginning, whatever the
// umask.
func ListenPrivately(network, address string) (net.Listener, error) {
	config := net.ListenConfig{Control: bindPrivately}
	l, err := config.Listen(context.Background(), network, address)
	if err != nil || network != "unix" || strings.HasPrefix(l.Addr().String(), "@") { // an abstract one has no file
		return l, err
	}
	if err := os.Chmod(address, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// linkedDir makes a folder for a socket, in the first temporary folder whose path is not too long itself.
func linkedDir() (string, error) {
	folders := TemporaryFolders()
	for _, folder := range folders {
		if len(folder)+SocketRoom <= MaxSocketPath {
			return os.MkdirTemp(folder, linkedDirPrefix)
		}
	}
	return "", fmt.Errorf("a path is too long for a socket, and so is that of each temporary folder: %s", strings.Join(folders, ", "))
}

// RemoveUnix removes what is left of what ListenUnix has made.
func RemoveUnix(path string) {
	// What cannot be removed is in the way of the next ListenUnix, which says so. A symlink of somebody else's may lead
	// anywhere: only what ListenUnix makes is removed behind it.
	if real, linked, err := linkAt(path); err == nil && linked && filepath.Base(real) == linkedSocket {
		if dir := filepath.Dir(real); strings.HasPrefix(filepath.Base(dir), linkedDirPrefix) {
			_ = os.Remove(real)
			_ = os.Remove(dir)
		}
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() { // a regular file is no socket
		_ = os.Remove(path)
	}
}

// UnixTransport sends HTTP requests to the socket that ListenUnix has made at the path, whatever host they name.
func UnixTransport(path string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, err := UnixAddress(path)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "unix", address)
	}}
}

// UnixAddress is the real path of a socket that ListenUnix has made.
func UnixAddress(path string) (string, error) {
	real, linked, err := linkAt(path)
	switch {
	case err == nil && linked && IsPrivate(filepath.Dir(real)):
		return real, nil
	case err == nil && linked: // temporary folders are emptied, and others may have put something there since
		return "", fmt.Errorf("%s: %w", real, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return path, nil // a socket, not a symlink
}

// linkAt returns where the symlink at the path leads to, if there is one. Readlink alone does not tell: of a socket on
// Windows it says that it is not there.
func linkAt(path string) (real string, linked bool, err error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return "", false, err
	}
	real, err = os.Readlink(path)
	return real, err == nil, err
}

// SocketRoom is how long the rest of a socket's path may be behind its folder.
const SocketRoom = 32

// TemporaryFolders are those that exist, the user's first, whose path may be as useless as that of the data folder.
func TemporaryFolders() (folders []string) {
	for _, folder := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm"} {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			if folder, err = filepath.Abs(folder); err == nil {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}
