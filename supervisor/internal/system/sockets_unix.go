//go:build unix

package system

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanShareSockets reports whether several listeners can be made of one socket.
const CanShareSockets = true

// SocketFile is a copy of a listener's socket, to be closed separately. It is not what the listener's method File
// returns: when net.FileListener asks that for its descriptor, the socket blocks for a moment. A goroutine that accepts
// from another listener on it just then would not end before the next client comes, even if the listener is closed.
func SocketFile(l net.Listener) (*os.File, error) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = raw.Control(func(of uintptr) { fd, dupErr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("dup", dupErr)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}
