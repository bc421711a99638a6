package supervisor

import (
	"context"
	"sync"
	"time"
)

// Event is one change of a server's state. Log, table and tests all read events; nothing else tells of changes.
type Event struct {
	Time   time.Time
	Server string
	From   State
	To     State
	// Err says why, if To is Failed.
	Err error
	// Address is where the server listens, if To is Ready and the server says so.
	Address string
}

// events keeps what happened, in order, for any number of readers. A slow reader holds nothing up: it finds what it has
// not read yet when it comes.
type events struct {
	mu     sync.Mutex
	all    []Event
	closed bool
	change chan struct{} // closed, and replaced, at each change
}

func newEvents() *events { return &events{change: make(chan struct{})} }

func (es *events) publish(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.all = append(es.all, e)
	es.wake()
}

// close says that no event follows.
func (es *events) close() {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.closed = true
	es.wake()
}

func (es *events) wake() {
	close(es.change)
	es.change = make(chan struct{})
}

// read calls f with each event, from the first one on, until there are no more or ctx ends.
func (es *events) read(ctx context.Context, f func(Event)) {
	for i := 0; ; {
		es.mu.Lock()
		fresh, closed, change := es.all[i:], es.closed, es.change
		es.mu.Unlock()
		for _, e := range fresh {
			f(e)
		}
		i += len(fresh)
		if len(fresh) > 0 {
			continue
		}
		if closed {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}
