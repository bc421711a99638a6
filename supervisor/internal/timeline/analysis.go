// Package timeline analyzes how the servers of a run became ready, what the last one had to wait for, and draws that as
// text and as a picture.
package timeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// Run is what is known of the servers of a run, at one time.
type Run struct {
	// Program is the name of the binary, Version its version, which may be empty, and Name that of the set of servers.
	Program, Version, Name string
	// Began is when the process began; zero if that is not known. Now is the time for which the rest holds.
	Began, Now time.Time
	Servers    []Server
}

// Server is what is known of one server.
type Server struct {
	Name  string
	State life.State
	// Since is when it came into that state.
	Since time.Time
	// Needs are the names of the servers that it needs. Some may be absent from the run.
	Needs []string
	// FirstStarted and FirstReady are when its first start began and succeeded; zero as long as that has not come.
	FirstStarted, FirstReady time.Time
}

// analysis is how the servers of a run became ready for the first time. Later starts do not change it. All times in it
// are since the run began.
type analysis struct {
	run *Run
	// rows are the servers in the order in which they became ready; then those that are starting, then those that have
	// never been started.
	rows []*firstStart
	// chain is the critical chain, the last server first.
	chain []*firstStart
	// prepared is when the first server was started.
	prepared time.Duration
	// end is the end of the timeline, always more than zero.
	end time.Duration
}

// firstStart is a server's first start.
type firstStart struct {
	*Server
	// started and ready say whether the server has been; start and end are when. Without ready, end is how far the
	// start has come.
	started, ready bool
	start, end     time.Duration
	// later says that it, or one that it needs, was started long after it could have been: somebody has asked for it.
	// The timeline leaves it out: there would be little room for the others.
	later bool
	// critical says that it is in the critical chain.
	critical bool
}

// took is how long the start has taken, so far.
func (f *firstStart) took() time.Duration { return f.end - f.start }

// laterAfter is how long a server must have been able to start, to count as started later. By itself a server is
// started at once.
const laterAfter = time.Second

func newAnalysis(run *Run) *analysis {
	a := &analysis{run: run}
	var first time.Time
	for _, server := range run.Servers {
		if t := server.FirstStarted; !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	began := run.Began
	if began.IsZero() {
		began = first // the preparation is not known
	}
	// Nothing comes before the beginning, even if somebody has set the clock meanwhile.
	since := func(t time.Time) time.Duration {
		if t.IsZero() || began.IsZero() {
			return 0
		}
		return max(0, t.Sub(began))
	}
	a.prepared = since(first)
	for i := range run.Servers {
		a.rows = append(a.rows, newFirstStart(&run.Servers[i], since, run.Now))
	}
	a.markLater()
	a.measure(since(run.Now))
	slices.SortStableFunc(a.rows, inOrder)
	a.findChain()
	return a
}

func newFirstStart(s *Server, since func(time.Time) time.Duration, now time.Time) *firstStart {
	f := &firstStart{Server: s, started: !s.FirstStarted.IsZero(), ready: !s.FirstReady.IsZero()}
	if !f.started {
		f.ready = false
		return f
	}
	f.start = since(s.FirstStarted)
	switch {
	case f.ready:
		f.end = since(s.FirstReady)
	case s.State == life.Starting || s.State == life.Backoff || s.State == life.Waiting:
		f.end = since(now)
	default: // it has given up
		f.end = since(s.Since)
	}
	f.end = max(f.end, f.start)
	return f
}

// inOrder compares servers by when they became ready. What has not come yet comes last.
func inOrder(a, b *firstStart) int {
	last := func(come bool, d time.Duration) time.Duration {
		if !come {
			return math.MaxInt64
		}
		return d
	}
	return cmp.Or(
		cmp.Compare(last(a.ready, a.end), last(b.ready, b.end)),
		cmp.Compare(last(a.started, a.start), last(b.started, b.start)))
}

// find returns the server of that name, or nil: a need may be absent from the run.
func (a *analysis) find(name string) *firstStart {
	if i := slices.IndexFunc(a.rows, func(f *firstStart) bool { return f.Name == name }); i >= 0 {
		return a.rows[i]
	}
	return nil
}

// markLater finds the servers that were started later.
func (a *analysis) markLater() {
	byStart := slices.Clone(a.rows)
	slices.SortStableFunc(byStart, func(a, b *firstStart) int { return cmp.Compare(a.start, b.start) })
	// What a server needs comes before it in this order.
	for _, f := range byStart {
		if !f.started {
			continue
		}
		could := a.prepared
		for _, need := range f.Needs {
			if n := a.find(need); n != nil && n.ready {
				could = max(could, n.end)
				f.later = f.later || n.later
			}
		}
		f.later = f.later || f.start-could > laterAfter
	}
}

// measure sets the end of the timeline.
func (a *analysis) measure(sinceBegan time.Duration) {
	none := true
	for _, f := range a.rows {
		if f.started && !f.later {
			none = false
			a.end = max(a.end, f.end)
		}
	}
	if none {
		a.end = sinceBegan
	}
	a.end = max(a.end, time.Millisecond)
}

// findChain finds the critical chain: from the server that was ready last, each time to that one of its needs that was
// ready last.
func (a *analysis) findChain() {
	lastOf := func(of []*firstStart) (last *firstStart) {
		for _, f := range of {
			if f != nil && f.ready && !f.later && !f.critical && (last == nil || f.end >= last.end) {
				last = f
			}
		}
		return last
	}
	for f := lastOf(a.rows); f != nil; {
		f.critical = true // which also ends it if they need each other in a circle
		a.chain = append(a.chain, f)
		var needs []*firstStart
		for _, need := range f.Needs {
			needs = append(needs, a.find(need))
		}
		f = lastOf(needs)
	}
}

// headline says in a sentence how far the servers have come.
func (a *analysis) headline() string {
	var ready time.Duration // of those that were started at the beginning
	count := 0
	var later, lacking []string
	for _, f := range a.rows {
		switch {
		case !f.ready:
			lacking = append(lacking, f.Name+" ("+a.lacks(f)+")")
			continue
		case f.later:
			later = append(later, f.Name)
		default:
			ready = max(ready, f.end)
		}
		count++
	}
	title, all := fmt.Sprintf("%s (%s): ", a.run.Program, a.run.Name), len(a.rows)
	switch {
	case all == 0:
		return title + "there are no servers"
	case len(lacking) > 0:
		return title + fmt.Sprintf("%d of %d servers ready so far; not yet: %s", count, all, strings.Join(lacking, ", "))
	case len(later) > 0:
		return title + fmt.Sprintf("%d of %d servers ready %s after the start; started later: %s", all-len(later), all, millis(ready), strings.Join(later, ", "))
	case all == 1:
		return title + fmt.Sprintf("the one server ready %s after the start", millis(ready))
	}
	return title + fmt.Sprintf("all %d servers ready %s after the start", all, millis(ready))
}

// lacks says why a server is not ready.
func (a *analysis) lacks(f *firstStart) string {
	switch f.State {
	case life.Starting:
		return "starting for " + millis(f.took())
	case life.Waiting:
		var needs []string
		for _, need := range f.Needs {
			if n := a.find(need); n != nil && n.State != life.Ready {
				needs = append(needs, need)
			}
		}
		if len(needs) > 0 {
			return "waiting for " + strings.Join(needs, ", ")
		}
	}
	return f.State.String()
}

// longestName is the number of characters of a name that leaves enough room for the rest of a line.
const longestName = 30

// hasPreparation reports whether there is a critical chain, and the time before it is known.
func (a *analysis) hasPreparation() bool { return len(a.chain) > 0 && !a.run.Began.IsZero() }

// preparation is what comes before the first start.
const preparation = "(preparation: flags, keys, logs)"

// shortName leaves out the middle of a long name: the ends tell more of what it is.
func shortName(name string) string {
	r := []rune(name)
	if len(r) <= longestName {
		return name
	}
	half := longestName / 2
	return string(r[:half-1]) + "…" + string(r[len(r)-half:])
}

// millis is the duration in seconds, down to the millisecond. A long one is not that exact, and needs no more room.
func millis(d time.Duration) string {
	if d < 1000*time.Second {
		return fmt.Sprintf("%.3fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
