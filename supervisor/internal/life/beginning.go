package life

import "fmt"

// Beginning is how the start of all servers together has gone.
type Beginning struct {
	// Seq is the number of the event with which it was known.
	Seq int64
	// Err is nil if all servers have been ready; otherwise it says why not all will be.
	Err error
}

// Beginning is how the start of all servers together has gone; nil as long as that is not known.
func (g *Group) Beginning() *Beginning {
	g.mu.Lock() // an event is read before it is noted here
	defer g.mu.Unlock()
	return g.began
}

// noteBeginning notes after an event whether that is known now. The lock is held.
func (g *Group) noteBeginning(seq int64, to State) {
	if g.began != nil {
		return
	}
	var err error
	switch to {
	case Ready:
		if g.unready > 0 {
			return
		}
	case Failed, Waiting: // perhaps for one that has failed
		if err = g.hopeless(); err == nil {
			return
		}
	default:
		return
	}
	g.began = &Beginning{Seq: seq, Err: err}
}

// hopeless is why not all servers will have been ready, as far as that is known. The lock is held.
func (g *Group) hopeless() error {
	for _, a := range g.actors {
		if !a.first.ready.IsZero() {
			continue
		}
		if a.state == Failed {
			return a.failure()
		}
		if b := a.blocker(); b != nil && b.state == Failed {
			return fmt.Errorf("%s waits for a server that has failed: %w", a.s.Name, b.failure())
		}
	}
	return nil
}
