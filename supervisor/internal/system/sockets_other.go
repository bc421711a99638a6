//go:build !unix

package system

import (
	"errors"
	"net"
	"os"
)

// CanShareSockets reports whether several listeners can be made of one socket.
const CanShareSockets = false

// SocketFile is not supported.
func SocketFile(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }
