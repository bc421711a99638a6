//go:build unix

package system

import (
	"net"
	"os"
	"syscall"
)

// CanIsolate reports whether servers can be processes of their own.
const CanIsolate = true

// SocketPair returns the two ends of a connection, the second one for a child.
func SocketPair() (net.Conn, *os.File, error) {
	// The lock keeps children from being started in between, which would inherit both ends.
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	conn, err := net.FileConn(ours)
	_ = ours.Close() // conn is a copy
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// CloseOnExec keeps a file from processes that this one starts.
func CloseOnExec(fd int) { syscall.CloseOnExec(fd) }
