//go:build !windows

package system

import "os"

// holderAt is where the number begins in the file.
const holderAt = 0

// NoteHolder writes the number of this process into a lock file, which it has locked.
func NoteHolder(lock string) error { return os.WriteFile(lock, []byte(holderText()), 0o600) }
