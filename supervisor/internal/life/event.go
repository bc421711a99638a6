package life

import (
	"context"
	"sync"
	"time"
)

// Event is a change of a server's state, or what hinders a start, or what a ready server lacks. Log, table, admin API
// and tests all read events; nothing else tells of changes.
type Event struct {
	// Seq numbers the events of a group, from 1 on.
	Seq    int64
	Time   time.Time
	Server string
	From   State
	To     State
	// Err says why, if To is Backoff or Failed, or Stopped instead of a further start. A server of RestartAlways that
	// was done is in Backoff without an error. If From and To are both Starting, no state has changed, and Err is what
	// hinders the start (Hindered); if both are Ready, it is what the server lacks (Degraded). Nil then says that this
	// is over.
	Err error
	// Wait is how long it is until the next start, if To is Backoff.
	Wait time.Duration
	// Address is where the server listens, if To is Ready and the server says so.
	Address string
	// Closing says that all servers are being stopped, for good.
	Closing bool
}

// IsHindrance reports whether the event tells what hinders a start, instead of a change.
func (e Event) IsHindrance() bool { return e.From == Starting && e.To == Starting }

// IsDegradation reports whether the event tells what a ready server lacks, instead of a change.
func (e Event) IsDegradation() bool { return e.From == Ready && e.To == Ready }

// keptEvents is how many events are kept for readers that come late or are slow.
const keptEvents = 10_000

// lifeEvents is how many there are of a server that starts and is stopped.
const lifeEvents = 4

// events keeps what happened, in order, for any number of readers. A slow reader holds nothing up: it finds later what
// it has not read yet, except what is more than keptEvents old.
type events struct {
	mu     sync.Mutex
	kept   []Event
	last   int64 // number of the last one
	closed bool
	change notice
}

// publish returns the number of the event.
func (es *events) publish(e Event) int64 {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.last++
	e.Seq = es.last
	es.kept = append(es.kept, e)
	if len(es.kept) > 2*keptEvents {
		// A new slice: readers still have the old one.
		es.kept = append([]Event(nil), es.kept[len(es.kept)-keptEvents:]...)
	}
	es.change.give()
	return e.Seq
}

// close says that no event follows.
func (es *events) close() {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.closed = true
	es.change.give()
}

// after returns the events with numbers above seq, and a channel that is closed when there is something new.
func (es *events) after(seq int64) (fresh []Event, closed bool, change <-chan struct{}) {
	es.mu.Lock()
	defer es.mu.Unlock()
	n := max(0, min(int(es.last-seq), len(es.kept))) // somebody may ask for what is yet to come
	return es.kept[len(es.kept)-n:], es.closed, es.change.wait()
}

// read calls f with each event whose number is above seq, until there are no more or ctx ends.
func (es *events) read(ctx context.Context, seq int64, f func(Event)) {
	for {
		fresh, closed, change := es.after(seq)
		for _, e := range fresh {
			if ctx.Err() != nil {
				return
			}
			f(e)
			seq = e.Seq
		}
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

// notice tells those who wait that there is something new. The lock of what is new guards the notice, too.
type notice struct{ next chan struct{} } // nil as long as nobody waits

// wait returns a channel that is closed when there is something new.
func (n *notice) wait() <-chan struct{} {
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// give closes what wait has returned.
func (n *notice) give() {
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}
