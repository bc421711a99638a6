package supervisor

import (
	"errors"
	"fmt"
)

// beginning is how the start of all servers together has gone.
type beginning struct {
	over  chan struct{}   // closed when it is known
	err   error           // why not all will have been ready; to be read when over is closed
	ready map[string]bool // which servers have been
}

func newBeginning() *beginning {
	return &beginning{over: make(chan struct{}), ready: map[string]bool{}}
}

// show is called with each event, in order, when all others have read it.
func (b *beginning) show(g *group, e Event) {
	select {
	case <-b.over:
		return
	default:
	}
	known := false
	switch e.To {
	case Ready:
		b.ready[e.Server] = true
		known = len(b.ready) == len(g.actors)
	case Failed, Waiting: // perhaps for one that has failed
		g.mu.Lock()
		b.err = g.hopeless()
		g.mu.Unlock()
		known = b.err != nil
	}
	if known {
		close(b.over)
	}
}

// end is called when there are no more events.
func (b *beginning) end() {
	select {
	case <-b.over:
	default:
		b.err = errors.New("the servers ended before all were ready")
		close(b.over)
	}
}

// hopeless is why not all servers will have been ready, as far as that is known. The lock is held.
func (g *group) hopeless() error {
	for _, a := range g.actors {
		if !a.first.ready.IsZero() {
			continue
		}
		if a.state == Failed {
			return a.failure()
		}
		if b := a.blocker(); b != nil && b.state == Failed {
			return fmt.Errorf("%s waits for a server that has failed: %w", a.s.Name(), b.failure())
		}
	}
	return nil
}
