package supervisor

import (
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// What the rooms below have that servers use, too.

// RawString is a string in JSON that need not be text, such as a path: where it is none, it is an object there, with
// the bytes.
type RawString = text.RawString

// ShellQuote returns the word so that a shell takes it for one, and as it is: in quotes, where it needs them. Of a flag
// with a value, that is the value. What cannot be printed comes in the form $'…' of bash, zsh and others, so that one
// line stays one.
func ShellQuote(word string) string { return text.ShellQuote(word) }

// Crash is how a run has ended that was not stopped.
type Crash = crash.Crash

// LoggedError is a line of a log, of level error or above.
type LoggedError = crash.LoggedError

// IsPrivate reports whether the path is a folder of this user's, and not a link to one, that nobody else may enter.
func IsPrivate(path string) bool { return system.IsPrivate(path) }
