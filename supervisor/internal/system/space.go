package system

import (
	"errors"
	"syscall"
)

// NoSpace reports whether the error is that a disk, or a quota of it, is full.
func NoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
