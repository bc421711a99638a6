package life

import (
	"fmt"
	"time"
)

// Hindered tells people what blocks a start of the server, if they can remove that while it waits: err is shown beside
// the server's state until the server is ready or has failed. Nil takes it back. The same text is told once. It is for
// Run and Ready: before, and when the server is ready, it does nothing.
func (a *Actor) Hindered(err error) {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if a.state != Starting || fmt.Sprint(a.err) == fmt.Sprint(err) {
		return
	}
	a.err = err
	a.tellCondition(err)
}

// Degraded tells people that the server is ready but lacks something, and what they can do: err is shown beside the
// server's state as long as the server is ready. It stays ready all the same: those that need it start. Nil takes it
// back, and so does the end of Run. The same text is told once. It is for Run, Ready and what they have started; what
// comes before the server is ready is kept until then.
func (a *Actor) Degraded(err error) {
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

// tellDegraded tells what a ready server lacks. The lock is held.
func (a *Actor) tellDegraded() {
	a.err = a.lacks
	a.tellCondition(a.lacks)
}

// tellCondition is an event that changes no state. The lock is held.
func (a *Actor) tellCondition(err error) {
	e := Event{Time: time.Now(), Server: a.s.Name, From: a.state, To: a.state, Err: err, Closing: a.group.closing}
	if a.state == Ready {
		e.Address = a.address
	}
	a.group.events.publish(e)
}
