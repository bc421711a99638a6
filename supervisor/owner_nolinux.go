//go:build !linux

package supervisor

import "os"

func isUnmapped(int) bool { return false }

// umask cannot be read without setting it.
func umask() (mask os.FileMode, known bool) { return 0, false }
