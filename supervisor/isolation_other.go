//go:build !unix

package supervisor

import (
	"errors"
	"net"
	"os"
	"os/exec"
)

func socketPair() (net.Conn, *os.File, error) {
	return nil, nil, errors.New("servers in processes of their own need a system like Unix")
}

func dieWithParent(*exec.Cmd) {}

func closeOnExec(int) {}
