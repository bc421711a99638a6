package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// ask is what somebody wants of a server.
type ask int

const (
	askNothing ask = iota // it is to go on as it is
	askStop               // it is to end, and to stay so
	askRestart            // it is to end, and to start again
	askStart              // it is to start, if it has ended; to start now, if it is waiting to
)

// actor runs one server, again and again.
type actor struct {
	s        *Server
	group    *group
	needs    []*actor
	neededBy []*actor
	fails    chan error           // what Server.Fail was called with
	next     *attempt             // that has begun while the server waits; nil if none has
	kept     atomic.Pointer[kept] // nil as long as it is not ready

	// Guarded by the group's lock.
	change    notice // of what this server waits for
	toEnd     ending // what Server.Ending returns
	state     State  // set by to alone
	since     time.Time
	err       error // why it is in Backoff or Failed, what hinders its start, or what it lacks
	lacks     error // what it has been Degraded by in this start; nil for nothing
	ask       ask
	failures  failures
	pause     time.Duration   // until the next start, if it is in Backoff
	left      <-chan struct{} // of a call that was left behind: closed when it has ended after all
	asked     bool            // it FailsAlone: somebody has asked for a start, and it has not been ready since
	byRequest bool            // it is Failed because of a stop or start that somebody has asked for
	done      bool            // it is Stopped because Run has returned nil by itself
	address   string
	starts    int
	start     time.Time     // the last one
	took      time.Duration // from the last start that succeeded to ready
	first     timeline
	lastErr   error // why it failed the last time, and when
	lastErrAt time.Time
}

// timeline is how the first start of a server went. Times are zero that have not come.
type timeline struct{ started, ready time.Time }

// to changes the server's state. Every change of every server goes through here and becomes an event. The lock is held.
func (a *actor) to(state State, err error, wait time.Duration) {
	if !follows(a.state, state) {
		panic(fmt.Sprintf("supervisor: server %s cannot go from %v to %v", a.s.Name(), a.state, state))
	}
	e := Event{Time: now(), Server: a.s.Name(), From: a.state, To: state, Err: err, Wait: wait, Closing: a.group.closing}
	a.state, a.since, a.err = state, e.Time, err
	if state != Ready && state != Stopping { // from now on others may move what it kept
		a.kept.Swap(nil).close()
	}
	if err != nil {
		a.lastErr, a.lastErrAt = err, e.Time
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
		}
		e.Address = a.address
	case Stopped:
		a.done = e.From == Ready && err == nil
	}
	a.group.events.publish(e)
	if state == Ready && a.lacks != nil {
		a.tellDegraded()
	}
	a.changed()
}

// changed tells those who wait for anything in the group, and the servers whose next step may depend on this one:
// itself, those that it needs, which end after it, and those that need it. In a large group most wait for others. The
// lock is held.
func (a *actor) changed() {
	a.group.change.give()
	a.change.give()
	for _, other := range a.needs {
		other.change.give()
	}
	for _, other := range a.neededBy {
		other.change.give()
	}
}

// until is the group's, for what depends on this server and those next to it.
func (a *actor) until(ctx context.Context, f func() bool) bool {
	return a.group.untilNotice(ctx, &a.change, f)
}

// execute is the server's life. It returns when the group is to stop and the server has ended. The first return stops
// the group.
func (a *actor) execute() error {
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

func (a *actor) current() State {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.state
}

// ending reports whether the server is to end. The lock is held.
func (a *actor) ending() bool {
	return a.group.closing || a.ask == askStop || a.ask == askRestart
}

// isEnding is ending, for who does not hold the lock.
func (a *actor) isEnding() bool {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.ending()
}

// startAsked reports whether somebody wants it to start, once it has ended. The lock is held.
func (a *actor) startAsked() bool { return a.ask == askStart || a.ask == askRestart }

// wait is Waiting: until the servers that this one needs are ready, and stay so. Meanwhile Build makes what needs none
// of them.
func (a *actor) wait() {
	if a.s.Build != nil {
		a.next = a.attempt()
	}
	stop := false
	a.until(context.Background(), func() bool {
		if a.group.closing || a.ask == askStop {
			stop = true
			return true
		}
		if a.ask != askNothing { // it is about to start
			a.ask = askNothing
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
		if a.ask != askStop {
			a.ask = askNothing
		}
	}
	a.to(Stopped, overstays, 0)
}

// backOff is Backoff: until it is time for the next start, or somebody wants it at once.
func (a *actor) backOff() {
	a.group.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), a.pause)
	a.group.mu.Unlock()
	defer cancel()
	over := false
	leave := func() bool {
		switch {
		case a.group.closing || a.ask == askStop:
			a.to(Stopped, nil, 0)
			return true
		case a.ask != askNothing:
			a.failures, a.asked = failures{}, a.s.FailsAlone // somebody has looked at it
		case !over:
			return false
		}
		a.ask = askNothing
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

// rest is Stopped and Failed: until somebody wants a start, or the group is to end, because of this server or not; then
// it returns true.
func (a *actor) rest() (end bool, err error) {
	if !a.again() {
		a.s.closeSockets()
	}
	a.until(context.Background(), func() bool {
		switch {
		case a.group.closing:
			end = true
		case a.startAsked():
			a.ask, a.failures, a.asked = askNothing, failures{}, a.s.FailsAlone
			a.to(Waiting, nil, 0)
		case a.state == Failed && !a.byRequest && !a.group.keepGoing:
			end, err = true, a.failure()
		default:
			return false
		}
		return true
	})
	return end, err
}

// again reports whether the server has ended in order to start again at once.
func (a *actor) again() bool {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return !a.group.closing && a.startAsked()
}

// failure is why it has failed, for people.
func (a *actor) failure() error { return fmt.Errorf("%s failed: %w", a.s.Name(), a.err) }

// live is Starting, Ready and Stopping: one call of Run, until it has ended.
func (a *actor) live() {
	c := a.next
	if a.next = nil; c == nil {
		c = a.attempt()
	}
	defer c.cancel()
	defer a.watchStart()()
	c.start()
	if c.ready == nil {
		a.becomeReady()
	}
	becameReady := c.ready
	for {
		stop, change := a.stopNow()
		if stop {
			a.stopped(c, a.end(c))
			return
		}
		select {
		case <-change:
		case err := <-becameReady:
			becameReady = nil
			switch {
			case err == nil:
				a.becomeReady()
			case c.ctx.Err() == nil: // if it has ended, Run tells why
				before := a.isEnding()
				a.failed(c, err, a.end(c), before)
				return
			}
		case err := <-a.fails:
			// What it runs into now that its context ends is no news.
			before := a.isEnding()
			a.failed(c, err, a.end(c), before)
			return
		case err := <-c.ran:
			select {
			case err = <-a.fails: // Fail ended Run: it knows better why
			default:
			}
			if err == nil && a.current() != Ready {
				if ready(becameReady) { // both at once
					a.becomeReady()
				} else {
					err = errors.New("it ended before it was ready")
				}
			}
			before := a.isEnding()
			overstays := a.end(c)
			if err != nil || overstays != nil {
				a.failed(c, err, overstays, before)
			} else {
				a.returned(c)
			}
			return
		}
	}
}

// look looks whether all is there that the server keeps, before it may start again: it would begin anew.
func (a *actor) look() {
	if a.kept.Load() != nil && a.group.look != nil {
		a.group.look()
	}
}

// lost looks, and is why the run ends, if that is because of what servers keep, and this is one of them.
func (a *actor) lost() error {
	a.look()
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if !a.group.lostKept || a.s.Keeps == nil {
		return nil
	}
	return a.group.lost
}

func (a *actor) becomeReady() {
	address := ""
	if a.s.Address != nil {
		address = a.s.Address(a.s)
	}
	if a.s.Keeps != nil {
		a.kept.Store(lookAfter(false, func() []string { return a.s.Keeps(a.s) }))
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.address = address
	a.showReady() // before the event: who reads that may expect it
	a.to(Ready, nil, 0)
}

// ready reports whether Ready has returned, without an error.
func ready(becameReady <-chan error) bool {
	select {
	case err := <-becameReady:
		return err == nil
	default:
		return false
	}
}

// stopNow reports whether it is time to stop, and begins to: the server is to end, and those that need it and are to
// end, too, have ended. Otherwise it returns what is closed when that may have changed.
func (a *actor) stopNow() (bool, <-chan struct{}) {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if !a.ending() {
		return false, a.change.wait()
	}
	a.toEnd.tell()
	if a.group.lostKept && a.s.Keeps != nil { // nobody is waited for
		return true, nil
	}
	for _, needing := range a.neededBy {
		if needing.ending() && !needing.state.Ended() {
			return false, a.change.wait()
		}
	}
	a.to(Stopping, nil, 0)
	return true, nil
}

// stopped is what follows on Stopping.
func (a *actor) stopped(c *attempt, overstays error) {
	if lost := a.lost(); lost != nil {
		a.failed(c, lost, overstays, true)
		return
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if overstays == nil {
		a.to(Stopped, nil, 0)
		return
	}
	a.log().Release()
	a.leave(c, overstays)
}

// returned is what follows when Run has returned nil by itself.
func (a *actor) returned(c *attempt) {
	if lost := a.lost(); lost != nil {
		a.failed(c, lost, nil, true)
		return
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if a.s.Restart.policy() != RestartAlways || a.ending() || a.restartable() != nil {
		a.to(Stopped, nil, 0)
		return
	}
	wait, ok := a.failures.add(now())
	if !ok {
		a.to(Failed, fmt.Errorf("it has ended %s", a.failures.tooMany()), 0)
		return
	}
	a.pause = wait
	a.to(Backoff, nil, wait)
}

// failed is what follows when the server has failed, for the reason err, or because it overstays after it has. That it
// was to end may have been before that: then it has failed to. If not, it would start again, and is stopped instead, as
// it would be a moment later in Backoff.
func (a *actor) failed(c *attempt, err, overstays error, before bool) {
	a.log().Release()
	a.look()
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if overstays != nil {
		a.leave(c, errors.Join(err, overstays))
		return
	}
	a.byRequest = a.asked || a.ask == askStop
	stop := a.group.closing || a.ask == askStop
	if stop && before {
		a.to(Failed, err, 0)
		return
	}
	if a.s.Restart.policy() == RestartNever || isPermanent(err) {
		a.to(Failed, err, 0)
		return
	}
	if why := a.restartable(); why != nil {
		a.to(Failed, fmt.Errorf("%w; %w", err, why), 0)
		return
	}
	wait, ok := a.failures.add(now())
	if !ok {
		a.to(Failed, fmt.Errorf("%w (it has failed %s)", err, a.failures.tooMany()), 0)
		return
	}
	if stop {
		a.to(Stopped, err, 0)
		return
	}
	a.pause = wait
	a.to(Backoff, err, wait)
}

// leave gives up a call that does not end. As long as that lasts, the server cannot start again. The lock is held.
func (a *actor) leave(c *attempt, err error) {
	a.left = c.ended
	a.byRequest = a.asked || a.ask != askNothing
	a.ask = askNothing
	a.to(Failed, err, 0)
}

// log is where the server's goroutines are labelled. A server that runs outside of a plan, in a test, has none.
func (a *actor) log() *logging.Log {
	if a.s.log == nil {
		a.s.log = logging.New(logging.Config{}).Server(a.s.Name())
	}
	return a.s.log
}
