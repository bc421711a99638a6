//go:build !unix

package supervisor

import (
	"errors"
	"net"
	"os"
)

const canShareSockets = false

func socketFile(net.Listener) (*os.File, error) { return nil, errors.ErrUnsupported }
