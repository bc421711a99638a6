//go:build !unix

package system

import (
	"errors"
	"net"
	"os"
	"os/exec"
)

// CanIsolate reports whether servers can be processes of their own. That takes a pair of sockets, one of which a child
// inherits.
const CanIsolate = false

// SocketPair is not supported.
func SocketPair() (net.Conn, *os.File, error) { return nil, nil, errors.ErrUnsupported }

// DieWithParent does nothing.
func DieWithParent(*exec.Cmd) {}

// CloseOnExec does nothing.
func CloseOnExec(int) {}
