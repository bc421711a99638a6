//go:build !unix

package supervisor

import (
	"errors"
	"net"
	"os"
	"os/exec"
)

// canIsolate says whether servers can be processes of their own. That takes a pair of sockets, one of which a child
// inherits.
const canIsolate = false

func socketPair() (net.Conn, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func dieWithParent(*exec.Cmd) {}

func closeOnExec(int) {}
