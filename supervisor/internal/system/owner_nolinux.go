//go:build !linux

package system

import "os"

func isUnmapped(int) bool { return false }

// Umask cannot be read without setting it.
func Umask() (mask os.FileMode, known bool) { return 0, false }
