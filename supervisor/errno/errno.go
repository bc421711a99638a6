// Package errno tells errors of the operating system apart. Windows has numbers of its own for them: package syscall
// has those of Unix there, too, but the system returns others.
package errno

import (
	"errors"
	"slices"
	"syscall"
)

// AddressTaken reports whether somebody else listens at the address.
func AddressTaken(err error) bool { return is(err, syscall.EADDRINUSE, taken) }

// NotAllowed reports whether this user, or anybody, may not listen at the address.
func NotAllowed(err error) bool { return is(err, syscall.EACCES, notAllowed) }

// NoAddress reports whether the address is none of this machine's.
func NoAddress(err error) bool { return is(err, syscall.EADDRNOTAVAIL, noAddress) }

// Refused reports whether nobody listens at the address.
func Refused(err error) bool { return is(err, syscall.ECONNREFUSED, refused) }

// Reset reports whether the other end of a connection has broken it off, or is gone.
func Reset(err error) bool {
	return is(err, syscall.ECONNRESET, reset) || errors.Is(err, syscall.EPIPE)
}

// NoSpace reports whether a disk, or a quota of it, is full.
func NoSpace(err error) bool {
	return is(err, syscall.ENOSPC, noSpace) || errors.Is(err, syscall.EDQUOT)
}

// is reports whether the error is the one of Unix, or one of the system's own.
func is(err error, unix syscall.Errno, own []syscall.Errno) bool {
	return errors.Is(err, unix) || slices.ContainsFunc(own, func(n syscall.Errno) bool { return errors.Is(err, n) })
}
