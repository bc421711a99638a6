//go:build !linux

package mounts

// mountsBelow is for systems on which no server mounts anything.
func mountsBelow(string) ([]string, error) { return nil, nil }
