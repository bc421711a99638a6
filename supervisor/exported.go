package supervisor

import (
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// A server's life, which package life draws.
type (
	// State is where a server is in its life: Waiting, Starting and so on. In text and in JSON it is the state's name.
	State = life.State
	// Event is a change of a server's state, or what hinders a start, or what a ready server lacks: when (Time, and Seq
	// in the order of all), which server, From and To which state, and with which error (Err), address, and pause until
	// the next start (Wait).
	Event = life.Event
	// RestartPolicy says whether a server is started again when it has ended without being asked to.
	RestartPolicy = life.RestartPolicy
	// RestartLimits say how soon a server that has failed is started again, and when it has failed for good: after so
	// many Failures (5) within a Window (1 min), or before it was ready once. It starts again after a Pause (200 ms),
	// which doubles with each further failure, up to five minutes. Zero values mean what is in brackets.
	RestartLimits = life.Limits
)

// The states of a server.
const (
	// Waiting for the servers that it needs to be ready.
	Waiting = life.Waiting
	// Starting is called, and not ready yet.
	Starting = life.Starting
	// Ready does what it is there for.
	Ready = life.Ready
	// Stopping has been asked to end.
	Stopping = life.Stopping
	// Stopped has ended as it was asked to, or is done.
	Stopped = life.Stopped
	// Backoff has failed, and starts again after a pause.
	Backoff = life.Backoff
	// Failed has failed, and does not start again by itself.
	Failed = life.Failed
)

// The restart policies, by the names that systemd and docker compose have for them.
const (
	// RestartOnFailure starts a server again that has failed. It is the default.
	RestartOnFailure = life.RestartOnFailure
	// RestartAlways starts a server again that has failed or is done.
	RestartAlways = life.RestartAlways
	// RestartNever starts no server again.
	RestartNever = life.RestartNever
)

// DefaultGracePeriod is how long a server may take to stop, where its GracePeriod is zero.
const DefaultGracePeriod = life.DefaultGracePeriod

// Permanent says of a failure that another try is pointless: the server that fails with it is not started again, by
// whatever policy.
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

// ErrNotRunning is in the error of HyperKube.Status, StartServers and StopServers if nothing runs with the data folder.
var ErrNotRunning = admin.ErrNotRunning

// What the rooms below have that servers use, too.

// RawString is a string in JSON that need not be text, such as a path. If it is not text, JSON has an object with the
// bytes.
type RawString = text.RawString

// ShellQuote returns the word as a shell takes it for one word, unchanged: in quotes, where it needs them. Of a flag
// with a value, only the value is quoted. What cannot be printed comes in the form $'…' of bash, zsh and others, so
// that one line stays one.
func ShellQuote(word string) string { return text.ShellQuote(word) }

// IsPrivate reports whether the path is a folder of this user's that nobody else may enter, and not a symlink to one.
func IsPrivate(path string) bool { return system.IsPrivate(path) }
