//go:build !linux

package suites

import "os/exec"

// inOwnNetwork needs network namespaces: elsewhere suites share the machine's network.
func inOwnNetwork(*exec.Cmd) {}
