package supervisor

import "github.com/seed-200a7251/km/logging"

// quiet has a server's lines left out of the screen while a server that it needs is away: it complains again and again
// of what everybody is told once. The files have them. It reads events.
type quiet struct {
	group   *group
	states  map[*actor]State // as the events have told so far; the actors may be further
	muted   map[*actor]bool  // whose phase was set here
	closing bool             // all are being stopped: those that still run complain of those that do not
}

func newQuiet(g *group) *quiet {
	return &quiet{group: g, states: map[*actor]State{}, muted: map[*actor]bool{}}
}

// show is called with each event, in order.
func (q *quiet) show(e Event) {
	changed := q.group.byName[e.Server]
	q.states[changed] = e.To
	if e.Closing && !q.closing {
		q.closing = true
		for _, a := range q.group.actors {
			q.look(a, changed)
		}
		return
	}
	q.follow(changed, changed)
}

// follow looks at a server, and at those that need it, whatever is between them.
func (q *quiet) follow(a, changed *actor) {
	q.look(a, changed)
	for _, needing := range a.neededBy {
		q.follow(needing, changed)
	}
}

// look sets the phase of a server that is ready, if it is to be another one.
func (q *quiet) look(a, changed *actor) {
	if q.states[a] != Ready {
		return // its own states decide
	}
	// Events come late, if the screen is slow: what was set here may have been set in the middle of a later start. So
	// it is set again when that one is over.
	lacks, began := q.closing || q.lacks(a), a == changed
	switch {
	case lacks && (began || !q.muted[a]):
		a.log().SetPhase(logging.Ending)
	case !lacks && q.muted[a]:
		a.log().SetPhase(logging.Running)
	}
	q.muted[a] = lacks
}

// lacks reports whether a server that this one needs is not ready, or one that that one needs.
func (q *quiet) lacks(a *actor) bool {
	for _, needed := range a.needs {
		if q.states[needed] != Ready || q.lacks(needed) {
			return true
		}
	}
	return false
}
