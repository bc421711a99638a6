package supervisor

import "fmt"

// Degraded tells people that the server is ready but lacks something, and what they can do: err is shown beside the
// server's state, on the screen, with --quiet too, in `status` and by /readyz, as long as the server is ready. It stays
// ready all the same: those that need it start, and /readyz says ok. Nil takes it back, and so does the end of Run. The
// same text is told once. It is for Run, Ready and what they have started; before the server is ready it is kept until
// then.
func (s *Server) Degraded(err error) {
	if a := s.actor.Load(); a != nil {
		a.degrade(err)
	}
}

// degrade notes what the server lacks, and tells it if the server is ready.
func (a *actor) degrade(err error) {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if fmt.Sprint(a.lacks) == fmt.Sprint(err) {
		return
	}
	a.lacks = err
	if a.state == Ready {
		a.tellDegraded()
	}
}

// tellDegraded tells it as an event that changes no state. The lock is held.
func (a *actor) tellDegraded() {
	a.err = a.lacks
	a.group.events.publish(Event{Time: now(), Server: a.s.Name(), From: Ready, To: Ready, Err: a.lacks, Address: a.address,
		Closing: a.group.closing})
}

// isDegradation reports whether the event tells what a server lacks that is ready, and not of a change.
func (e Event) isDegradation() bool { return e.From == Ready && e.To == Ready }
