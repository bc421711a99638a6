//go:build !windows

package errno

import "syscall"

// The system returns the numbers of package syscall.
var taken, notAllowed, noAddress, refused, reset, noSpace []syscall.Errno
