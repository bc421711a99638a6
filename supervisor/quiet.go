package supervisor

import "github.com/seed-200a7251/km/logging"

// quiet has a server's lines left out of the screen while a server that it needs is away: it complains again and again of
// what everybody is told once. The files have them. It reads events.
type quiet struct {
	plan    *Plan
	states  map[string]State
	muted   map[string]bool // whose phase was set here
	closing bool            // all are being stopped: those that still run complain of those that do not
}

func newQuiet(p *Plan) *quiet {
	return &quiet{plan: p, states: map[string]State{}, muted: map[string]bool{}}
}

// show is called with each event, in order.
func (q *quiet) show(e Event) {
	q.states[e.Server] = e.To
	q.closing = q.closing || e.Closing
	for _, s := range q.plan.Servers {
		name := s.Name()
		if q.states[name] != Ready {
			continue // its own states decide
		}
		// Events come late, if the screen is slow: what was set here may have been set in the middle of a later start. So it is set
		// again when that one is over.
		lacks, began := q.closing || q.lacks(s), e.Server == name
		switch {
		case lacks && (began || !q.muted[name]):
			s.log.SetPhase(logging.Ending)
		case !lacks && q.muted[name]:
			s.log.SetPhase(logging.Running)
		}
		q.muted[name] = lacks
	}
}

// lacks reports whether a server that this one needs is not ready, or one that that one needs.
func (q *quiet) lacks(s *Server) bool {
	for _, need := range s.Needs {
		needed := q.plan.Server(need.Server)
		if needed != nil && (q.states[needed.Name()] != Ready || q.lacks(needed)) {
			return true
		}
	}
	return false
}
