package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/seed-200a7251/km/logging"
)

// Group runs servers as the actors of one oklog/run group, with one more actor for signals. run.Group starts all actors
// at once, and interrupts all when the first one returns; which server waits for which is decided inside each actor.
// NewGroup makes one. It can run once; its exported fields are to be set before.
type Group struct {
	// KeepGoing says that a server that has failed for good is no reason for the others to stop.
	KeepGoing bool
	// Look, if not nil, checks that nothing is gone without which the group must not go on, and calls Lose otherwise.
	// It is called before a server that keeps something starts again.
	Look func() (gone bool)
	// Nested says that the group is a server of another group, which tells that a server takes long to start.
	Nested bool

	events events
	actors []*Actor
	byName map[string]*Actor // names and aliases
	beside []beside          // what Add has added
	began  *Beginning        // nil until it is known

	checking sync.Mutex // held while a server is checked once more

	mu       sync.Mutex // guards what follows, and the fields of each actor that say so
	change   notice     // tells of changes of what mu guards
	unready  int        // how many servers have not been ready yet
	readyAt  time.Time  // when unready became 0; zero before
	closing  bool       // all are asked to stop, for good
	lost     error      // why closing is set, if something is gone
	lostKept bool       // what is gone may be what servers keep
}

// NewGroup returns a group of these servers. A server's Needs are names of others; the order does not matter. It panics
// if two have the same name, or need each other in a circle.
func NewGroup(servers ...Server) *Group {
	g := &Group{byName: make(map[string]*Actor, len(servers)), unready: len(servers)}
	g.events.kept = make([]Event, 0, lifeEvents*len(servers))
	unread := sync.OnceValue(func() *logging.Logs { return logging.New(logging.Config{}) })
	for _, s := range servers {
		if s.Log == nil {
			s.Log = unread().Server(s.Name)
		}
		a := &Actor{s: s, group: g, fails: make(chan error, 1), since: time.Now()}
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			if g.byName[name] != nil {
				panic(fmt.Sprintf("life: two servers have the name %q", name))
			}
			g.byName[name] = a
		}
		g.actors = append(g.actors, a)
	}
	for _, a := range g.actors {
		for _, need := range a.s.Needs {
			if needed := g.byName[need]; needed != nil {
				a.needs = append(a.needs, needed)
				needed.neededBy = append(needed.neededBy, a)
			}
		}
		a.away = len(a.needs) > 0
	}
	visited := map[*Actor]bool{}
	for _, a := range g.actors {
		a.mustNotNeedItself(visited, nil)
	}
	return g
}

// mustNotNeedItself panics if the server's direct and indirect needs form a circle.
func (a *Actor) mustNotNeedItself(visited map[*Actor]bool, way []*Actor) {
	for i, before := range way {
		if before == a {
			var names []string
			for _, a := range append(way[i:], a) {
				names = append(names, a.s.Name)
			}
			panic(fmt.Sprintf("life: servers need each other in a circle: %q", names))
		}
	}
	if visited[a] {
		return
	}
	way = append(way, a)
	for _, needed := range a.needs {
		needed.mustNotNeedItself(visited, way)
	}
	visited[a] = true
}

// Add adds an actor beside the servers, as run.Group.Add does: when execute returns, all servers are asked to stop, and
// interrupt is called when they are. Run waits for execute to return.
func (g *Group) Add(execute func() error, interrupt func(error)) {
	g.beside = append(g.beside, beside{execute, interrupt})
}

// beside is an actor beside those of the servers.
type beside struct {
	execute   func() error
	interrupt func(error)
}

// ErrStop ends a group without making that an error: it is for actors that Add adds.
var ErrStop = errors.New("stop")

// ForcedError is the error of a group that a second signal has ended, without waiting for the servers.
type ForcedError struct{ Signal os.Signal }

func (e *ForcedError) Error() string {
	return fmt.Sprintf("second signal (%v): ended without waiting for the servers", e.Signal)
}

// Run runs the servers until all have ended. The first signal stops them in order, a second one ends the wait at once
// with a ForcedError. The error is that of the server that failed first, or why Lose was called.
func (g *Group) Run(signals <-chan os.Signal) error {
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
		return ErrStop
	}, func(error) { close(quit) })
	for _, a := range g.actors {
		actors.Add(a.execute, func(error) { g.Close() })
	}
	actors.Add(func() error {
		g.until(context.Background(), func() bool { return g.closing || g.idle() })
		return nil
	}, func(error) {})
	for _, b := range g.beside {
		actors.Add(b.execute, b.interrupt)
	}
	done := make(chan error, 1)
	go func() { done <- actors.Run() }()

	select {
	case err := <-done:
		g.EndEvents()
		if errors.Is(err, ErrStop) {
			err = nil
		}
		return g.firstFailure(err)
	case s := <-forced:
		return &ForcedError{Signal: s}
	}
}

// firstFailure is err or, if that is nil, the first failure of a server that is Failed at the end.
func (g *Group) firstFailure(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost != nil { // other failures come of that
		return g.lost
	}
	if err != nil {
		return err
	}
	var first *Actor
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

// Close asks all servers to stop, for good, and does not wait until they have.
func (g *Group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing { // each actor is interrupted
		g.close()
	}
}

// close is Close for callers with the lock.
func (g *Group) close() {
	g.closing = true
	g.change.give()
	for _, a := range g.actors {
		a.mute()
		a.change.give()
	}
}

// Actors are the actors of the servers, in the order in which these were given.
func (g *Group) Actors() []*Actor { return g.actors }

// Find returns the actor of the server of that name or alias, or nil.
func (g *Group) Find(name string) *Actor { return g.byName[name] }

// Read calls f with each event whose number is above after (0 for all), in order, until there are no more or ctx ends.
// A slow reader holds nothing up; it misses only events that are more than 10,000 old.
func (g *Group) Read(ctx context.Context, after int64, f func(Event)) { g.events.read(ctx, after, f) }

// Events are the events so far whose numbers are above after (0 for all), as far as they are kept.
func (g *Group) Events(after int64) []Event {
	fresh, _, _ := g.events.after(after)
	return fresh
}

// EndEvents says that no event follows: all readers end. Run calls it at its end. An actor of Add that has to end
// before that calls it when all servers have ended (AwaitEnd).
func (g *Group) EndEvents() { g.events.close() }

// until calls f, under the lock, until it returns true: now, and after each change. It returns false if ctx ends
// before.
func (g *Group) until(ctx context.Context, f func() bool) bool {
	return g.untilNotice(ctx, &g.change, f)
}

// untilNotice is until for a condition that depends only on changes that n tells of.
func (g *Group) untilNotice(ctx context.Context, n *notice, f func() bool) bool {
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
			g.mu.Lock()
			defer g.mu.Unlock()
			return f() // it may have come to pass meanwhile
		}
	}
}

// idle reports whether no server runs or will run by itself. It is false if somebody has stopped one, and may start it
// again. The lock is held.
func (g *Group) idle() bool {
	for _, a := range g.actors {
		ended := a.state.Ended() && a.ask == nothing && !a.byRequest
		if !ended && a.blocker() == nil {
			return false
		}
	}
	return true
}

// over reports whether all servers have ended, for good. The lock is held.
func (g *Group) over() bool {
	for _, a := range g.actors {
		if !a.state.Ended() {
			return false
		}
	}
	return g.closing
}

// Ended reports whether all servers have ended, for good.
func (g *Group) Ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over()
}

// AwaitEnd waits until all servers have ended, for good.
func (g *Group) AwaitEnd() { g.until(context.Background(), g.over) }

// Closing reports whether all servers are asked to stop, for good.
func (g *Group) Closing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closing
}

// AwaitClosing waits until all servers are asked to stop, for good. It returns false if ctx ends before.
func (g *Group) AwaitClosing(ctx context.Context) bool {
	return g.until(ctx, func() bool { return g.closing })
}

// ReadySince is when all servers had been ready for the first time; zero as long as they have not.
func (g *Group) ReadySince() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.readyAt
}
