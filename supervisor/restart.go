package supervisor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// RestartPolicy says whether a server is started again when it has ended without being asked to.
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
func (r *RestartPolicy) Type() string { return "policy" }

func (r *RestartPolicy) String() string { return string(r.policy()) }

// Set is that of a pflag.Value.
func (r *RestartPolicy) Set(text string) error {
	switch p := RestartPolicy(text); p {
	case RestartOnFailure, RestartAlways, RestartNever:
		*r = p
		return nil
	}
	return fmt.Errorf("unknown restart policy: use %s, %s or %s", RestartNever, RestartOnFailure, RestartAlways)
}

func (r *RestartPolicy) policy() RestartPolicy {
	if *r == "" {
		return RestartOnFailure
	}
	return *r
}

// A server that fails failureLimit times within failureWindow is not started again: what fails so often does not heal
// by itself, and its reason is to be seen. As long as it has never been ready since the run began, or since somebody
// has asked for a start, all its failures count, however long each start takes: what has never worked is not waited
// for.
const (
	failureLimit  = 5
	failureWindow = time.Minute
)

// backoffStart is how long it is from a first failure to the next start; with each further failure in the window it is
// backoffFactor times as long. backoffJitter is the part by which it is shorter or longer by chance, so that servers
// that failed together do not start together, again and again.
const (
	backoffStart  = 200 * time.Millisecond
	backoffFactor = 2
	backoffJitter = 0.2
)

// failures are those of a server that count.
type failures struct {
	times  []time.Time
	worked bool // it has been ready: those that are older than the window do not count
}

// add notes a failure, and returns how long to wait before the next start. ok is false if there have been too many.
func (f *failures) add(at time.Time) (wait time.Duration, ok bool) {
	if f.worked {
		f.times = slices.DeleteFunc(f.times, func(t time.Time) bool { return at.Sub(t) >= failureWindow })
	}
	f.times = append(f.times, at)
	if len(f.times) >= failureLimit {
		return 0, false
	}
	wait = backoffStart
	for range len(f.times) - 1 {
		wait *= backoffFactor
	}
	return time.Duration(float64(wait) * (1 + backoffJitter*(2*rand.Float64()-1))), true
}

// tooMany says how many they are.
func (f *failures) tooMany() string {
	if first, last := f.times[0], f.times[len(f.times)-1]; last.Sub(first) >= failureWindow {
		return fmt.Sprintf("%d times without having been ready", len(f.times))
	}
	return fmt.Sprintf("%d times within %v", len(f.times), failureWindow)
}

// restartable returns why the server cannot start again in this process, or nil. The lock is held.
func (a *actor) restartable() error {
	if a.s.StartsOnce != nil && a.s.StartsOnce(a.s) {
		return fmt.Errorf("%[1]s can start only once in a process: start %[2]s again, or give it a process of its own with --%[1]s.isolation=process", a.s.Name(), a.s.program())
	}
	if a.stillRuns() {
		return fmt.Errorf("%[1]s was left behind when it did not stop, and still runs: start %[2]s again", a.s.Name(), a.s.program())
	}
	return nil
}

// stillRuns reports whether the server was left behind, and has not ended after all. The lock is held.
func (a *actor) stillRuns() bool {
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
