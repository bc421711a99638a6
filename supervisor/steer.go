package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// What somebody may want of a server that runs, or has run. Each function notes it and returns; await waits until it
// has come to pass.

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
	return nil, text.Suggest(fmt.Errorf("no server %q is run here: there are %s", name, strings.Join(known, ", ")), name, known)
}

// wish is what somebody has asked for.
type wish struct {
	ask    ask
	actors []*actor
	starts []int  // of each, before
	ended  []bool // likewise

	refused error // why some of those that were named were not asked
}

// askFor notes what is wanted of these servers, and of those that are in it with them: a stop stops what needs the
// server first, a start starts what it needs first, a restart leaves the others alone. Nothing is noted if one of them
// refuses.
func (g *group) askFor(what ask, named ...*actor) (*wish, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, err := g.wish(what, named)
	if err != nil {
		return nil, err
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

// wish is what is asked for, or why it cannot be. The lock is held.
func (g *group) wish(what ask, named []*actor) (*wish, error) {
	if g.closing {
		return nil, errClosing
	}
	w := &wish{ask: what}
	for _, a := range named {
		w.add(a)
	}
	for _, a := range w.actors {
		if a.startsAnew(what) && (a.starts > 0 || a.stillRuns()) {
			if err := a.restartable(); err != nil {
				return nil, err
			}
		}
	}
	return w, nil
}

// startsAnew reports whether the server will start if that is asked of it. The lock is held.
func (a *actor) startsAnew(what ask) bool {
	switch what {
	case askRestart:
		return true
	case askStart:
		return a.state.Ended() || a.state == Stopping || a.state == Backoff || a.ending()
	}
	return false
}

// request is askFor, for somebody who wants to be told what is wrong before anything is touched: check looks at each
// server that is to start anew. If it refuses one, none is restarted; and of those that are to start, the others do,
// unless they need that one.
func (g *group) request(what ask, check func(*Server) error, named ...*actor) (*wish, error) {
	g.mu.Lock()
	w, err := g.wish(what, named)
	var anew []*actor
	was := map[*actor]State{}
	if err == nil {
		for _, a := range w.actors {
			if a.startsAnew(what) {
				anew, was[a] = append(anew, a), a.state
			}
		}
	}
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	refused := map[*actor]bool{}
	var reasons []error
	for _, a := range anew {
		if err := g.checkOne(check, a.s); err != nil {
			refused[a] = true
			reasons = append(reasons, notAsked(what, a.s.Name(), was[a], err))
		}
	}
	var asked []*actor
	for _, a := range named {
		alone := &wish{ask: what}
		alone.add(a)
		if !slices.ContainsFunc(alone.actors, func(a *actor) bool { return refused[a] }) {
			asked = append(asked, a)
		}
	}
	if len(reasons) > 0 && (what == askRestart || len(asked) == 0) {
		return nil, errors.Join(reasons...)
	}
	if w, err = g.askFor(what, asked...); err == nil {
		w.refused = errors.Join(reasons...)
	}
	return w, err
}

// checkOne checks one server at a time, whoever wants it.
func (g *group) checkOne(check func(*Server) error, s *Server) error {
	g.checking.Lock()
	defer g.checking.Unlock()
	return check(s)
}

// notAsked says that a check has refused a server.
func notAsked(what ask, name string, state State, why error) error {
	word := map[ask]string{askStart: "started", askRestart: "restarted"}[what]
	reasons := " " + why.Error()
	if all := text.Errors(why); len(all) > 1 {
		reasons = ""
		for _, err := range all {
			reasons += "\n  " + err.Error()
		}
	}
	return fmt.Errorf("%s is not %s, and stays %v:%s", name, word, state, reasons)
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
	errs := []error{w.refused}
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
		case a.startAsked() || !a.state.Ended() && !a.ending():
			// Also while it ends, or has just ended, to start again: who looks a moment later finds it starting.
			return true, fmt.Errorf("%s: somebody else has asked it to start", a.s.Name())
		}
		return a.state.Ended(), nil
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
