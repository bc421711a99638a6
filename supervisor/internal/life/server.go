package life

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// DefaultGracePeriod is how long a server may take to stop, where its GracePeriod is zero.
const DefaultGracePeriod = 10 * time.Second

// Server is one server of a Group: what is called in its life, and how it is treated. Name and Run are all that it must
// have. It is not to be changed while the group has it.
type Server struct {
	// Name is how it is called in Needs, events, requests and errors, and Aliases are further names.
	Name    string
	Aliases []string

	// Needs are the names of the servers that must be ready before this one starts. One that is not in the group is
	// elsewhere, and is not waited for.
	Needs []string

	// Build, if not nil, makes what Run is going to use, as far as that takes none of the needed servers. It is called
	// as soon as the server is to start, while those may still be starting. An error is a failure of the server. It
	// gets the same ctx as Run, which may end before Run is called; then it is not.
	Build func(ctx context.Context) error

	// Run is the server. It blocks until ctx ends, and then returns nil or any error: what it returns after ctx ended
	// is not a failure. Before that, an error is a failure; nil means that the server is done, which is fine only if it
	// had become ready.
	Run func(ctx context.Context) error

	// Ready blocks until this start of the server can be used, or ctx ends; ctx ends at the latest when Run returns. An
	// error that it returns before is a failure of the server. It is called once for each call of Run, beside it. A
	// server without Ready is ready as soon as Build has returned and Run is called.
	Ready func(ctx context.Context) error

	// Address, if not nil, says where the server listens, for people. It is asked when the server has become ready.
	Address func() string

	// Keeps, if not nil, returns the paths of files and folders without which the server must not go on. It is asked
	// when the server has become ready, and again when something is missing, maybe beside Run.
	Keeps func() []string

	// Release, if not nil, is called when a start has ended: Build, Run and Ready have returned, or Run was never
	// called. The server counts as running until it has returned.
	Release func()

	// Rest, if not nil, is called when the server has ended and does not start again at once, before anybody is told.
	// The group is locked meanwhile: Rest must not wait, nor ask the group.
	Rest func()

	// GracePeriod is how long Run may take to return after ctx ended, before the server is left behind. Zero means
	// DefaultGracePeriod.
	GracePeriod time.Duration

	// Restart says whether the server is started again when it has ended without being asked to, and Limits how soon,
	// and how often. The zero values mean RestartOnFailure and the default limits.
	Restart RestartPolicy
	Limits  Limits

	// FailsAlone says that the others go on when the server fails for good in a start that somebody has asked for.
	FailsAlone bool

	// StartsOnce, if not nil, reports whether Run can be called only once. Such a server is not started again: when it
	// fails, it has failed for good.
	StartsOnce func() bool

	// Log is where the server logs, and how its goroutines are labelled. Nil is a log that nobody reads.
	Log *logging.Log

	// Advice is what people are told to do where the group does not know.
	Advice Advice
}

// Advice are ways out that only the program around a group knows. Each stands behind what is wrong with a server.
type Advice struct {
	Overstays  string // it did not stop within its grace period: how to give it more
	StartsOnce string // it cannot be started again, as StartsOnce says
	StillRuns  string // it was left behind, and has not ended
}

// with is a text with a way out behind it, if there is one.
func with(text, between, way string) string {
	if way == "" {
		return text
	}
	return text + between + way
}

// period is the grace period.
func (s *Server) period() time.Duration { return cmp.Or(max(s.GracePeriod, 0), DefaultGracePeriod) }

// Guard calls f, and turns a panic in it into an error, whose stack is logged.
func Guard(log *zap.Logger, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			log.Error("panic", zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return f()
}
