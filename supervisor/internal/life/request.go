package life

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Verb is what somebody may want of a server that runs, or has run.
type Verb string

// What may be asked of servers.
const (
	Start   Verb = "start"   // to start, if it has ended; at once, if it is in Backoff
	Stop    Verb = "stop"    // to end, and to stay so
	Restart Verb = "restart" // to end, and to start again

	nothing Verb = "" // it is to go on as it is
)

// ErrClosing is why nothing can be asked of servers any more.
var ErrClosing = errors.New("all servers are being stopped")

// Request is what somebody has asked for.
type Request struct {
	group  *Group
	ask    Verb
	actors []*Actor
	starts []int  // starts of each actor before the request
	ended  []bool // whether each had ended before

	refused error
}

// Servers are the names of the servers in the request: those that were named, and those that come with them.
func (r *Request) Servers() (names []string) {
	for _, a := range r.actors {
		names = append(names, a.s.Name)
	}
	return names
}

// Refused is why some of the named servers were not asked; nil if all were.
func (r *Request) Refused() error { return r.refused }

// Ask asks for something of the named servers, and of those that come with them: a stop first stops what needs a
// server, a start first starts what it needs, a restart leaves others alone. Ask notes the request and returns; the
// request's Wait waits until it is done.
//
// If check is not nil, it is called before anything is touched, with the name of each server that is to start anew; of
// all requests, one check runs at a time. If it returns an error for one server, a Restart restarts none, and a Start
// starts the others, except those that need that one.
//
// An error says that nothing is asked for: there is no such server, a server cannot be started again, all are being
// stopped, or check has refused.
func (g *Group) Ask(what Verb, check func(name string) error, names ...string) (*Request, error) {
	var named []*Actor
	for _, name := range names {
		a := g.Find(name)
		if a == nil {
			return nil, fmt.Errorf("there is no server %q", name)
		}
		if !slices.Contains(named, a) {
			named = append(named, a)
		}
	}
	if check == nil {
		return g.askFor(what, named...)
	}
	return g.request(what, check, named...)
}

// askFor is Ask without a check.
func (g *Group) askFor(what Verb, named ...*Actor) (*Request, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r, err := g.draft(what, named)
	if err != nil {
		return nil, err
	}
	for _, a := range r.actors {
		r.starts, r.ended = append(r.starts, a.starts), append(r.ended, a.state.Ended())
		switch {
		case what == Start && (a.state == Starting || a.state == Ready) && !a.ending():
			// It is there already.
		case what == Start && (a.state == Starting || a.state == Ready || a.state == Stopping):
			a.ask = Restart // it ends before it can start
		default:
			// Also a stop of what has ended: it stays so, and keeps the group from ending.
			a.ask = what
		}
		a.changed()
	}
	return r, nil
}

// draft returns the request, without asking, or why it is impossible. The lock is held.
func (g *Group) draft(what Verb, named []*Actor) (*Request, error) {
	if g.closing {
		return nil, ErrClosing
	}
	r := &Request{group: g, ask: what}
	for _, a := range named {
		r.add(a)
	}
	for _, a := range r.actors {
		if a.startsAnew(what) && (a.starts > 0 || a.stillRuns()) {
			if err := a.restartable(); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// startsAnew reports whether the server would start because of that request. The lock is held.
func (a *Actor) startsAnew(what Verb) bool {
	switch what {
	case Restart:
		return true
	case Start:
		return a.state.Ended() || a.state == Stopping || a.state == Backoff || a.ending()
	}
	return false
}

// request is Ask with a check.
func (g *Group) request(what Verb, check func(name string) error, named ...*Actor) (*Request, error) {
	g.mu.Lock()
	r, err := g.draft(what, named)
	var anew []*Actor
	was := map[*Actor]State{}
	if err == nil {
		for _, a := range r.actors {
			if a.startsAnew(what) {
				anew, was[a] = append(anew, a), a.state
			}
		}
	}
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	refused := map[*Actor]bool{}
	var reasons []error
	for _, a := range anew {
		if err := checkOne(&g.checking, check, a.s.Name); err != nil {
			refused[a] = true
			reasons = append(reasons, notAsked(what, a.s.Name, was[a], err))
		}
	}
	var asked []*Actor
	for _, a := range named {
		alone := &Request{ask: what}
		alone.add(a)
		if !slices.ContainsFunc(alone.actors, func(a *Actor) bool { return refused[a] }) {
			asked = append(asked, a)
		}
	}
	if len(reasons) > 0 && (what == Restart || len(asked) == 0) {
		return nil, errors.Join(reasons...)
	}
	if r, err = g.askFor(what, asked...); err == nil {
		r.refused = errors.Join(reasons...)
	}
	return r, err
}

// checkOne checks one server; of all requests, one check runs at a time.
func checkOne(checking *sync.Mutex, check func(name string) error, name string) error {
	checking.Lock()
	defer checking.Unlock()
	return check(name)
}

// notAsked says that a check has refused a server.
func notAsked(what Verb, name string, state State, why error) error {
	word := map[Verb]string{Start: "started", Restart: "restarted"}[what]
	reason := " " + why.Error()
	if all := text.Errors(why); len(all) > 1 {
		reason = ""
		for _, err := range all {
			reason += "\n  " + err.Error()
		}
	}
	return fmt.Errorf("%s is not %s, and stays %v:%s", name, word, state, reason)
}

// add adds a server, and those that come with it.
func (r *Request) add(a *Actor) {
	if slices.Contains(r.actors, a) {
		return
	}
	r.actors = append(r.actors, a)
	switch r.ask {
	case Stop:
		for _, needing := range a.neededBy {
			r.add(needing)
		}
	case Start:
		for _, needed := range a.needs {
			r.add(needed)
		}
	}
}

// Wait waits until the request is done for all servers, or has become impossible: then the error says why. The request
// stands even if ctx ends.
func (r *Request) Wait(ctx context.Context) error {
	errs := []error{r.refused}
	for i, a := range r.actors {
		var err error
		if !r.group.until(ctx, func() bool {
			var over bool
			over, err = r.over(i, a)
			return over
		}) {
			return ctx.Err()
		}
		if errors.Is(err, ErrClosing) && errors.Join(errs...) != nil {
			continue // say that once, and not if the error before is its cause
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// over reports whether the request is done for one server, or has become impossible. The lock is held.
func (r *Request) over(i int, a *Actor) (bool, error) {
	if r.ask == Stop {
		switch {
		case a.stillRuns() || a.state == Failed && a.byRequest && !r.ended[i]:
			return true, a.failure()
		case a.startAsked() || !a.state.Ended() && !a.ending():
			// Also if it ends, or has just ended, only to start again: a moment later it would be starting.
			return true, fmt.Errorf("%s: somebody else has asked it to start", a.s.Name)
		}
		return a.state.Ended(), nil
	}
	switch {
	case a.startAsked():
		return a.group.closing, a.closingError() // the actor has not noticed the request yet
	case a.state == Failed:
		return true, a.failure()
	case a.group.closing:
		return true, a.closingError()
	case a.ask == Stop:
		return true, fmt.Errorf("%s: somebody else has asked it to stop", a.s.Name)
	case a.blocker() != nil:
		return true, fmt.Errorf("%s waits for %s, which is %v: start that one", a.s.Name, a.blocker().s.Name, a.blocker().state)
	case a.starts == r.starts[i] && a.state != Ready && !a.state.Ended():
		return false, nil
	case a.state == Ready:
		return true, nil
	case a.state == Backoff && a.err != nil:
		return true, fmt.Errorf("%w; it is started again by itself", a.failure())
	case a.state == Stopped: // it is done
		return true, nil
	}
	return false, nil
}

func (a *Actor) closingError() error {
	if !a.group.closing {
		return nil
	}
	return fmt.Errorf("%s: %w", a.s.Name, ErrClosing)
}
