package life

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// RestartPolicy says whether a server is started again when it has ended without being asked to. It is a pflag.Value.
type RestartPolicy string

// The restart policies, by the names that systemd and docker compose have for them.
const (
	// RestartOnFailure starts a server again that has failed. It is the default.
	RestartOnFailure RestartPolicy = "on-failure"
	// RestartAlways starts a server again that has failed or is done.
	RestartAlways RestartPolicy = "always"
	// RestartNever starts no server again.
	RestartNever RestartPolicy = "never"
)

// Type is that of a pflag.Value.
func (rp *RestartPolicy) Type() string { return "policy" }

func (rp *RestartPolicy) String() string { return string(rp.policy()) }

// Set is that of a pflag.Value.
func (rp *RestartPolicy) Set(text string) error {
	switch p := RestartPolicy(text); p {
	case RestartOnFailure, RestartAlways, RestartNever:
		*rp = p
		return nil
	}
	return fmt.Errorf("unknown restart policy: use %s, %s or %s", RestartNever, RestartOnFailure, RestartAlways)
}

func (rp *RestartPolicy) policy() RestartPolicy { return cmp.Or(*rp, RestartOnFailure) }

// Limits say how soon a server that has failed is started again, and when it has failed for good: what fails so often
// does not heal by itself, and people are to see why. Each zero value means the default.
type Limits struct {
	// Failures is how many failures within Window make a server fail for good. The default is 5. Until it has been
	// ready once, since the group began or somebody asked for a start, all its failures count, however long each start
	// takes: what has never worked is not waited for.
	Failures int
	// Window is for how long a failure counts. The default is a minute.
	Window time.Duration
	// Pause is the time from the first failure to the next start. The default is 200 ms. It doubles with each further
	// failure that counts, up to five minutes or Pause itself, as the kubelet has it for containers. It is up to a
	// fifth shorter or longer at random, so that servers that failed together do not start together, again and again.
	Pause time.Duration
}

// The default limits, and how a pause grows.
const (
	DefaultFailures = 5
	DefaultWindow   = time.Minute
	DefaultPause    = 200 * time.Millisecond

	pauseFactor = 2
	pauseLimit  = 5 * time.Minute
	pauseJitter = 0.2
)

// failures are the failures of a server that count.
type failures struct {
	times  []time.Time
	worked bool // it has been ready: failures older than the window do not count
}

// add notes a failure, and returns how long to wait before the next start. ok is false if there have been too many.
func (f *failures) add(at time.Time, l Limits) (wait time.Duration, ok bool) {
	window := cmp.Or(l.Window, DefaultWindow)
	if f.worked {
		f.times = slices.DeleteFunc(f.times, func(t time.Time) bool { return at.Sub(t) >= window })
	}
	f.times = append(f.times, at)
	if len(f.times) >= cmp.Or(l.Failures, DefaultFailures) {
		return 0, false
	}
	wait = cmp.Or(l.Pause, DefaultPause)
	for n := 1; n < len(f.times) && wait < pauseLimit; n++ {
		wait = min(wait*pauseFactor, pauseLimit)
	}
	jittered := float64(wait) * (1 + pauseJitter*(2*rand.Float64()-1))
	return time.Duration(min(jittered, math.MaxInt64/2)), true
}

// tooMany says how many they are.
func (f *failures) tooMany(l Limits) string {
	window := cmp.Or(l.Window, DefaultWindow)
	if first, last := f.times[0], f.times[len(f.times)-1]; last.Sub(first) >= window {
		return fmt.Sprintf("%d times without having been ready", len(f.times))
	}
	return fmt.Sprintf("%d times within %v", len(f.times), window)
}

// restartable returns why the server cannot start again, or nil. The lock is held.
func (a *Actor) restartable() error {
	if a.s.StartsOnce != nil && a.s.StartsOnce() {
		return errors.New(with(a.s.Name+" can start only once in a process", ": ", a.s.Advice.StartsOnce))
	}
	if a.stillRuns() {
		return errors.New(with(a.s.Name+" was left behind when it did not stop, and still runs", ": ", a.s.Advice.StillRuns))
	}
	return nil
}

// stillRuns reports whether the server was left behind, and has not ended after all. The lock is held.
func (a *Actor) stillRuns() bool {
	if a.left == nil {
		return false
	}
	select {
	case <-a.left:
		return false
	default:
		return true
	}
}
