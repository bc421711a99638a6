package life

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/kept"
)

// Actor runs one server, again and again.
type Actor struct {
	s        Server
	group    *Group
	needs    []*Actor
	neededBy []*Actor
	fails    chan error                 // the error that Fail was called with
	next     *attempt                   // the attempt that has begun while the server waits; nil if none has
	kept     atomic.Pointer[kept.Files] // nil as long as it is not ready

	// Guarded by the group's lock.
	change    notice // tells of changes that this server waits for
	toEnd     ending // what Ending returns
	state     State  // set by to alone
	since     time.Time
	err       error // why it is in Backoff or Failed, what hinders its start, or what it lacks
	lacks     error // what it has been Degraded by in this start; nil for nothing
	ask       Verb
	failures  failures
	pause     time.Duration   // until the next start, if it is in Backoff
	left      <-chan struct{} // of an attempt that was left behind: closed when it has ended after all
	asked     bool            // it FailsAlone: somebody has asked for a start, and it has not been ready since
	byRequest bool            // it is Failed because of a stop or start that somebody has asked for
	rested    bool            // Rest has been called since it has ended
	done      bool            // it is Stopped because Run has returned nil by itself
	away      bool            // a direct or indirect need of it is not ready
	muted     bool            // it is Ready, and its lines are left out of the screen
	address   string
	starts    int
	start     time.Time     // the last one
	took      time.Duration // from the last start that succeeded to ready
	first     struct{ started, ready time.Time }
	lastErr   error // why it failed the last time, and when
	lastErrAt time.Time
}

// Name is the server's name.
func (a *Actor) Name() string { return a.s.Name }

// Log is where the server logs.
func (a *Actor) Log() *logging.Log { return a.s.Log }

// Fail makes the server fail, from any goroutine, as if Run had returned err: its context ends, and what follows is the
// same. It does nothing if the server is not running, or is being stopped already.
func (a *Actor) Fail(err error) {
	select {
	case a.fails <- err:
	default: // the first one counts
	}
}

// to changes the server's state. Every change of every server goes through here and becomes an event. The lock is held.
func (a *Actor) to(state State, err error, wait time.Duration) {
	if !follows(a.state, state) {
		panic(fmt.Sprintf("life: server %s cannot go from %v to %v", a.s.Name, a.state, state))
	}
	e := Event{Time: time.Now(), Server: a.s.Name, From: a.state, To: state, Err: err, Wait: wait, Closing: a.group.closing}
	a.state, a.since, a.err = state, e.Time, err
	if state != Ready && state != Stopping { // from now on others may move what the server kept
		a.kept.Swap(nil).Close()
	}
	if err != nil {
		a.lastErr, a.lastErrAt = err, e.Time
	}
	if state.Ended() {
		if a.rested = false; a.group.closing || !a.startAsked() {
			a.giveBack() // before the event, too
		}
	}
	switch state {
	case Starting:
		a.starts++
		a.start, a.left, a.byRequest, a.lacks = e.Time, nil, false, nil
		if a.first.started.IsZero() {
			a.first.started = e.Time
		}
	case Ready:
		a.took = e.Time.Sub(a.start)
		a.failures.worked, a.asked = true, false
		if a.first.ready.IsZero() {
			a.first.ready = e.Time
			if a.group.unready--; a.group.unready == 0 {
				a.group.readyAt = e.Time
			}
		}
		e.Address = a.address
		a.mute()
	case Stopped:
		a.done = e.From == Ready && err == nil
	}
	if state == Ready || e.From == Ready {
		a.tellAway()
	}
	seq := a.group.events.publish(e)
	if state == Ready && a.lacks != nil {
		a.tellDegraded()
	}
	a.group.noteBeginning(seq, state)
	a.changed()
}

// changed wakes those who wait for the whole group, and the servers whose next step may depend on this one: itself,
// those that it needs, which end after it, and those that need it. In a large group most do not. The lock is held.
func (a *Actor) changed() {
	a.group.change.give()
	a.change.give()
	for _, other := range a.needs {
		other.change.give()
	}
	for _, other := range a.neededBy {
		other.change.give()
	}
}

// until is Group.until for conditions that depend only on this server and those that it needs or that need it.
func (a *Actor) until(ctx context.Context, f func() bool) bool {
	return a.group.untilNotice(ctx, &a.change, f)
}

// execute is the server's life. It returns when the group is to stop and the server has ended. The first actor that
// returns stops the group.
func (a *Actor) execute() error {
	for {
		// Each function leads to the next state, and returns there. The state is changed by this goroutine alone.
		switch a.current() {
		case Waiting:
			a.wait()
		case Backoff:
			a.backOff()
		case Starting:
			a.live()
		default: // Stopped, Failed
			if end, err := a.rest(); end {
				return err
			}
		}
	}
}

func (a *Actor) current() State {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.state
}

// ending reports whether the server is to end. The lock is held.
func (a *Actor) ending() bool {
	return a.group.closing || a.ask == Stop || a.ask == Restart
}

// isEnding is ending for callers without the lock.
func (a *Actor) isEnding() bool {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.ending()
}

// startAsked reports whether somebody wants the server to start once it has ended. The lock is held.
func (a *Actor) startAsked() bool { return a.ask == Start || a.ask == Restart }

// wait is the state Waiting. It ends when the needed servers are ready, and stay so. Meanwhile Build makes what takes
// none of them.
func (a *Actor) wait() {
	if a.s.Build != nil {
		a.next = a.attempt()
	}
	stop := false
	a.until(context.Background(), func() bool {
		if a.group.closing || a.ask == Stop {
			stop = true
			return true
		}
		if a.ask != nothing { // it is about to start
			a.ask = nothing
			a.changed()
		}
		if !a.needsReady() {
			return false
		}
		a.to(Starting, nil, 0)
		return true
	})
	if !stop {
		return
	}
	c := a.next
	a.next = nil
	var overstays error
	if c != nil {
		overstays = a.end(c)
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if overstays != nil {
		a.left = c.ended
		if a.ask != Stop {
			a.ask = nothing
		}
	}
	a.to(Stopped, overstays, 0)
}

// backOff is the state Backoff. It ends when it is time for the next start, or somebody wants that at once.
func (a *Actor) backOff() {
	a.group.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), a.pause)
	a.group.mu.Unlock()
	defer cancel()
	over := false
	leave := func() bool {
		switch {
		case a.group.closing || a.ask == Stop:
			a.to(Stopped, nil, 0)
			return true
		case a.ask != nothing:
			a.failures, a.asked = failures{}, a.s.FailsAlone // somebody has looked at it
		case !over:
			return false
		}
		a.ask = nothing
		if a.needsReady() {
			a.to(Starting, nil, 0)
		} else {
			a.to(Waiting, nil, 0)
		}
		return true
	}
	if !a.until(ctx, leave) {
		over = true
		a.until(context.Background(), leave)
	}
}

// rest is the states Stopped and Failed. It ends when somebody wants a start, or when the group is to end: then it
// returns true, and err if that is because of this server.
func (a *Actor) rest() (end bool, err error) {
	a.until(context.Background(), func() bool {
		switch {
		case a.group.closing:
			a.giveBack() // it was about to start again
			end = true
		case a.startAsked():
			a.ask, a.failures, a.asked = nothing, failures{}, a.s.FailsAlone
			a.to(Waiting, nil, 0)
		case a.state == Failed && !a.byRequest && !a.group.KeepGoing:
			end, err = true, a.failure()
		default:
			return false
		}
		return true
	})
	return end, err
}

// giveBack calls Rest, once for each time that the server has ended. The lock is held.
func (a *Actor) giveBack() {
	if a.s.Rest == nil || a.rested {
		return
	}
	a.rested = true
	a.s.Rest()
}

// failure is why it has failed, for people.
func (a *Actor) failure() error { return fmt.Errorf("%s failed: %w", a.s.Name, a.err) }

// Err is why the server is in Backoff or Failed, what hinders its start, or what it lacks; nil for nothing.
func (a *Actor) Err() error {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.err
}

// Await waits until the server is in that state. It returns false if ctx ends before.
func (a *Actor) Await(ctx context.Context, state State) bool {
	return a.group.until(ctx, func() bool { return a.state == state })
}
