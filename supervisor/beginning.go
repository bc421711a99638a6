package supervisor

import (
	"errors"
	"fmt"
)

// beginning is how the start of all servers together has gone.
type beginning struct {
	over chan struct{} // closed when it is known
	err  error         // why not all will have been ready; to be read when over is closed
}

func newBeginning() *beginning { return &beginning{over: make(chan struct{})} }

// show is called after each event, when all others have read it.
func (b *beginning) show(g *group) {
	select {
	case <-b.over:
		return
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch b.err = g.hopeless(); {
	case b.err != nil, !g.readySince().IsZero():
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
