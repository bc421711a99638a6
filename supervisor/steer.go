package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What somebody may want of a server that runs, or has run. Each function notes it and returns; await waits until it has come
// to pass.

// errClosing is why nothing can be asked of servers any more.
var errClosing = errors.New("all servers are being stopped")

// findActor returns the actor of a server that is run.
func (g *group) findActor(name string) (*actor, error) {
	if a := g.byName[name]; a != nil {
		return a, nil
	}
	var known []string
	for _, a := range g.actors {
		known = append(known, a.s.Name())
	}
	return nil, suggest(fmt.Errorf("no server %q is run here: there are %s", name, strings.Join(known, ", ")), name, known)
}

// wish is what somebody has asked for.
type wish struct {
	ask    ask
	actors []*actor
	starts []int  // of each, before
	ended  []bool // likewise
}

// askFor notes what is wanted of these servers, and of those that are in it with them: a stop stops what needs the server
// first, a start starts what it needs first, a restart leaves the others alone. Nothing is noted if one of them refuses.
func (g *group) askFor(what ask, named ...*actor) (*wish, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return nil, errClosing
	}
	w := &wish{ask: what}
	for _, a := range named {
		w.add(a)
	}
	for _, a := range w.actors {
		anew := what == askRestart || what == askStart && (a.state.Ended() || a.state == Stopping || a.ending())
		if anew && (a.starts > 0 || a.stillRuns()) {
			if err := a.restartable(); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range w.actors {
		w.starts, w.ended = append(w.starts, a.starts), append(w.ended, a.state.Ended())
		switch {
		case what == askStart && (a.state == Starting || a.state == Ready) && !a.ending():
			// It is there already.
		case what == askStart && (a.state == Starting || a.state == Ready || a.state == Stopping):
			a.ask = askRestart // it ends before it can start
		default:
			// Also a stop of what has ended: it stays so, and the group, too.
			a.ask = what
		}
		a.changed()
	}
	return w, nil
}

// add adds a server, and those that come with it.
func (w *wish) add(a *actor) {
	if slices.Contains(w.actors, a) {
		return
	}
	w.actors = append(w.actors, a)
	switch w.ask {
	case askStop:
		for _, needing := range a.neededBy {
			w.add(needing)
		}
	case askStart:
		for _, needed := range a.needs {
			w.add(needed)
		}
	}
}

// await waits until the wish has come to pass, or cannot any more: then the error says why.
func (g *group) await(ctx context.Context, w *wish) error {
	var errs []error
	for i, a := range w.actors {
		var err error
		if !g.until(ctx, func() bool {
			var over bool
			over, err = w.over(i, a)
			return over
		}) {
			return ctx.Err()
		}
		if errors.Is(err, errClosing) && errors.Join(errs...) != nil {
			continue // that is said once, and not if it is because of the error before
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// over reports whether the wish has come to pass for one server, or cannot any more. The lock is held.
func (w *wish) over(i int, a *actor) (bool, error) {
	if w.ask == askStop {
		switch {
		case a.stillRuns() || a.state == Failed && a.byRequest && !w.ended[i]:
			return true, a.failure()
		case a.state.Ended():
			return true, nil
		case !a.ending():
			return true, fmt.Errorf("%s: somebody else has asked it to start", a.s.Name())
		}
		return false, nil
	}
	switch {
	case a.startAsked():
		return a.group.closing, closingError(a) // it has not been noticed yet
	case a.state == Failed:
		return true, a.failure()
	case a.group.closing:
		return true, closingError(a)
	case a.ask == askStop:
		return true, fmt.Errorf("%s: somebody else has asked it to stop", a.s.Name())
	case a.blocker() != nil:
		return true, fmt.Errorf("%s waits for %s, which is %v: start that one", a.s.Name(), a.blocker().s.Name(), a.blocker().state)
	case a.starts == w.starts[i] && a.state != Ready && !a.state.Ended():
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

func closingError(a *actor) error {
	if !a.group.closing {
		return nil
	}
	return fmt.Errorf("%s: %w", a.s.Name(), errClosing)
}
