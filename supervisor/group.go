package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// group runs servers as the actors of one oklog/run group, with one more for signals. run.Group starts all actors at
// once, and interrupts all when the first one returns; which server waits for which is decided inside each actor.
type group struct {
	events    *events
	actors    []*actor
	byName    map[string]*actor // names and aliases
	keepGoing bool              // a server that has failed for good is no reason for the others to stop
	look      func() bool       // looks whether something is gone, which ends all; nil for nothing
	beside    func() error      // an actor beside the servers', which ends when they have; nil for none
	job       *job              // whose end stops the servers; nil for none

	checking sync.Mutex // is held while a server is checked once more

	mu       sync.Mutex // guards what follows, and the fields of each actor that say so
	change   notice     // of what mu guards
	closing  bool       // all are asked to stop, for good
	lost     error      // why that is, if it is because something is gone
	lostKept bool       // which servers may keep
}

func newGroup(servers []*Server) *group {
	g := &group{events: newEvents(), byName: map[string]*actor{}}
	for _, s := range servers {
		a := &actor{s: s, group: g, fails: make(chan error, 1), since: now()}
		for _, name := range s.names() {
			g.byName[name] = a
		}
		s.actor.Store(a)
		g.actors = append(g.actors, a)
	}
	for _, a := range g.actors {
		for _, need := range a.s.Needs {
			if needed := g.byName[need.Server]; needed != nil {
				a.needs = append(a.needs, needed)
				needed.neededBy = append(needed.neededBy, a)
			}
		}
	}
	return g
}

// errStop ends the group without being an error.
var errStop = errors.New("stop")

// errForced says that a second signal ended the group: the servers were not waited for.
var errForced = errors.New("ended without waiting for the servers")

// run runs the servers until all have ended. The first signal stops them in order, a second one ends the wait at once
// with an ExitError. The error is that of the server that failed first.
func (g *group) run(signals <-chan os.Signal) error {
	var actors run.Group
	quit := make(chan struct{})
	forced := make(chan os.Signal, 1)
	first := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			s, ok := <-signals
			switch {
			case !ok:
				return
			case n == 1:
				close(first)
			case n == 2:
				forced <- s
				return
			}
		}
	}()
	actors.Add(func() error {
		select {
		case <-first:
		case <-quit:
		}
		return errStop
	}, func(error) { close(quit) })
	for _, a := range g.actors {
		actors.Add(a.execute, func(error) { g.close() })
	}
	actors.Add(func() error {
		g.until(context.Background(), func() bool { return g.closing || g.idle() })
		return nil
	}, func(error) {})
	if g.beside != nil {
		actors.Add(g.beside, func(error) {})
	}
	if g.job != nil {
		actors.Add(g.job.execute, g.job.interrupt)
	}
	done := make(chan error, 1)
	go func() { done <- actors.Run() }()

	select {
	case err := <-done:
		g.events.close()
		if errors.Is(err, errStop) {
			err = nil
		}
		return g.firstFailure(err)
	case s := <-forced:
		return &ExitError{Code: system.SignalCode(s), Err: fmt.Errorf("second signal (%v): %w", s, errForced)}
	}
}

// firstFailure is err, or else the failure of a server that is Failed at the end, the one that failed first.
func (g *group) firstFailure(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost != nil { // what else has failed comes of that
		return g.lost
	}
	if err != nil {
		return err
	}
	var first *actor
	for _, a := range g.actors {
		if a.state == Failed && (first == nil || a.since.Before(first.since)) {
			first = a
		}
	}
	if first == nil {
		return nil
	}
	return first.failure()
}

// close asks all servers to stop, for good.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing { // each actor is interrupted
		return
	}
	g.closing = true
	g.change.give()
	for _, a := range g.actors {
		a.change.give()
	}
}

// until calls f, under the lock, until it returns true: now, and after each change. It returns false if ctx ends
// before.
func (g *group) until(ctx context.Context, f func() bool) bool {
	return g.untilNotice(ctx, &g.change, f)
}

// untilNotice is until, where only the changes matter of which n gives notice.
func (g *group) untilNotice(ctx context.Context, n *notice, f func() bool) bool {
	for {
		g.mu.Lock()
		if f() {
			g.mu.Unlock()
			return true
		}
		change := n.wait()
		g.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return false
		}
	}
}

// notice tells those who wait that there is something new. What guards that guards the notice, too.
type notice struct{ next chan struct{} } // nil as long as nobody waits

// wait returns what is closed when there is something new.
func (n *notice) wait() <-chan struct{} {
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// give has what wait has returned closed.
func (n *notice) give() {
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// idle reports whether no server runs, none will, and that is not because somebody has stopped one, and may start it
// again. The lock is held.
func (g *group) idle() bool {
	for _, a := range g.actors {
		ended := a.state.Ended() && a.ask == askNothing && !a.byRequest
		if !ended && a.blocker() == nil {
			return false
		}
	}
	return true
}

// over reports whether all servers have ended, for good. The lock is held.
func (g *group) over() bool {
	for _, a := range g.actors {
		if !a.state.Ended() {
			return false
		}
	}
	return g.closing
}

// readySince is when all servers had been ready for the first time; zero as long as they have not. The lock is held.
func (g *group) readySince() time.Time {
	var last time.Time
	for _, a := range g.actors {
		if a.first.ready.IsZero() {
			return time.Time{}
		}
		if a.first.ready.After(last) {
			last = a.first.ready
		}
	}
	return last
}

func (g *group) isOver() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over()
}
