package supervisor

import "github.com/seed-200a7251/km/logging"

// quiet has a server's lines left out of the screen while a server that it needs is away: it complains again and again of
// what everybody is told once. The files have them. It reads events.
type quiet struct {
	servers  map[string]*Server
	needs    map[*Server][]*Server // those of them that are run here, too
	neededBy map[*Server][]*Server
	states   map[string]State
	muted    map[string]bool // whose phase was set here
	closing  bool            // all are being stopped: those that still run complain of those that do not
}

func newQuiet(p *Plan) *quiet {
	q := &quiet{servers: map[string]*Server{}, needs: map[*Server][]*Server{}, neededBy: map[*Server][]*Server{},
		states: map[string]State{}, muted: map[string]bool{}}
	for _, s := range p.Servers {
		q.servers[s.Name()] = s
		for _, need := range s.Needs {
			if needed := p.Server(need.Server); needed != nil {
				q.needs[s] = append(q.needs[s], needed)
				q.neededBy[needed] = append(q.neededBy[needed], s)
			}
		}
	}
	return q
}

// show is called with each event, in order.
func (q *quiet) show(e Event) {
	q.states[e.Server] = e.To
	if e.Closing && !q.closing {
		q.closing = true
		for _, s := range q.servers {
			q.look(s, e)
		}
		return
	}
	if s := q.servers[e.Server]; s != nil {
		q.follow(s, e)
	}
}

// follow looks at a server, and at those that need it, whatever is between them.
func (q *quiet) follow(s *Server, e Event) {
	q.look(s, e)
	for _, needing := range q.neededBy[s] {
		q.follow(needing, e)
	}
}

// look sets the phase of a server that is ready, if it is to be another one.
func (q *quiet) look(s *Server, e Event) {
	name := s.Name()
	if q.states[name] != Ready {
		return // its own states decide
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

// lacks reports whether a server that this one needs is not ready, or one that that one needs.
func (q *quiet) lacks(s *Server) bool {
	for _, needed := range q.needs[s] {
		if q.states[needed.Name()] != Ready || q.lacks(needed) {
			return true
		}
	}
	return false
}
