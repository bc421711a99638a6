package supervisor

import "fmt"

// Hindered tells people what keeps a start of the server from going on, where that is something that they can remove
// while it waits: err is shown beside the server's state, on the screen, with --quiet too, and in `status`, until the
// server is ready or has failed. Nil takes it back. The same text is told once. It is for Run and Ready: before, and
// when the server is ready, it does nothing.
func (s *Server) Hindered(err error) {
	if a := s.actor.Load(); a != nil {
		a.hindered(err)
	}
}

// hindered notes what hinders the start, as an event that changes no state.
func (a *actor) hindered(err error) {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if a.state != Starting || fmt.Sprint(a.err) == fmt.Sprint(err) {
		return
	}
	a.err = err
	a.group.events.publish(Event{Time: now(), Server: a.s.Name(), From: Starting, To: Starting, Err: err, Closing: a.group.closing})
}

// toldAs is how people are told in full what hinders a start, and what a server lacks that is ready, behind its name.
var toldAs = map[State]string{Starting: "cannot start yet", Ready: "is ready, but"}

// isHindrance reports whether the event tells what hinders a start, and not of a change.
func (e Event) isHindrance() bool { return e.From == Starting && e.To == Starting }
