package supervisor

import (
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
	"github.com/seed-200a7251/km/supervisor/life"
)

// What package life has of a server's life, and users of this package name.
type (
	// State is where a server is in its life.
	State = life.State
	// Event is a change of a server's state, or what hinders a start, or what a ready server lacks.
	Event = life.Event
	// RestartPolicy says whether a server is started again when it has ended without being asked to.
	RestartPolicy = life.RestartPolicy
	// Limits say how soon a server that has failed is started again, and when it has failed for good.
	Limits = life.Limits
)

// The states of a server: see life.State.
const (
	Waiting  = life.Waiting
	Starting = life.Starting
	Ready    = life.Ready
	Stopping = life.Stopping
	Stopped  = life.Stopped
	Backoff  = life.Backoff
	Failed   = life.Failed
)

// The restart policies: see life.RestartPolicy.
const (
	RestartOnFailure = life.RestartOnFailure
	RestartAlways    = life.RestartAlways
	RestartNever     = life.RestartNever
)

// DefaultGracePeriod is how long a server may take to stop, where its GracePeriod is zero.
const DefaultGracePeriod = life.DefaultGracePeriod

// Permanent says of a failure that another try is pointless: see life.Permanent.
func Permanent(err error) error { return life.Permanent(err) }

// What package admin tells of a run.
type (
	// Status is what a run tells of itself.
	Status = admin.Status
	// ServerStatus is what is known of one server.
	ServerStatus = admin.ServerStatus
	// EventLine is an event as the stream of the admin API has it, a line of JSON.
	EventLine = admin.EventLine
)

// ErrNotRunning is in the error of Status, StartServers and StopServers if nothing runs with the data folder.
var ErrNotRunning = admin.ErrNotRunning

// What the rooms below have that servers use, too.

// RawString is a string in JSON that need not be text, such as a path. If it is not text, JSON has an object with the
// bytes.
type RawString = text.RawString

// ShellQuote returns the word as a shell takes it for one word, unchanged: in quotes, where it needs them. Of a flag
// with a value, only the value is quoted. What cannot be printed comes in the form $'…' of bash, zsh and others, so
// that one line stays one.
func ShellQuote(word string) string { return text.ShellQuote(word) }

// Crash is how a run that was not stopped has ended.
type Crash = crash.Crash

// LoggedError is a line of a log, of level error or above.
type LoggedError = crash.LoggedError

// IsPrivate reports whether the path is a folder of this user's that nobody else may enter, and not a symlink to one.
func IsPrivate(path string) bool { return system.IsPrivate(path) }
