package life

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/kept"
)

// live is the states Starting, Ready and Stopping: one call of Run, until that has ended.
func (a *Actor) live() {
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
			// Errors that follow from the end of its context are no news.
			before := a.isEnding()
			a.failed(c, err, a.end(c), before)
			return
		case err := <-c.ran:
			select {
			case err = <-a.fails: // Fail ended Run: it knows better why
			default:
			}
			if err == nil && a.current() != Ready {
				if a.wasReady(becameReady) {
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

func (a *Actor) becomeReady() {
	address := ""
	if a.s.Address != nil {
		address = a.s.Address()
	}
	if a.s.Keeps != nil {
		a.kept.Store(kept.LookAfter(false, a.s.Keeps))
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.address = address
	a.showReady() // before the event: its readers may expect it
	a.to(Ready, nil, 0)
}

// wasReady reports, when Run has returned, whether Ready returns without an error all the same. Its context has ended.
func (a *Actor) wasReady(becameReady <-chan error) bool {
	if becameReady == nil { // it has returned
		return false
	}
	timer := time.NewTimer(a.s.period())
	defer timer.Stop()
	select {
	case err := <-becameReady:
		return err == nil
	case <-timer.C:
		return false
	}
}

// stopNow begins to stop the server, and returns true, if the server is to end and those that need it and are to end,
// too, have ended. Otherwise it returns a channel that is closed when that may have changed.
func (a *Actor) stopNow() (bool, <-chan struct{}) {
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
func (a *Actor) stopped(c *attempt, overstays error) {
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
	a.s.Log.Release()
	a.leave(c, overstays)
}

// returned is what follows when Run has returned nil by itself.
func (a *Actor) returned(c *attempt) {
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
	wait, ok := a.failures.add(time.Now(), a.s.Limits)
	if !ok {
		a.to(Failed, fmt.Errorf("it has ended %s", a.failures.tooMany(a.s.Limits)), 0)
		return
	}
	a.pause = wait
	a.to(Backoff, nil, wait)
}

// failed is what follows when the server has failed with err; overstays is set if it does not end then. before says
// that it was to end before it failed: then it is Failed. If it is to end since then, and would start again, it is
// Stopped, as it would be a moment later in Backoff.
func (a *Actor) failed(c *attempt, err, overstays error, before bool) {
	a.s.Log.Release()
	a.look()
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if overstays != nil {
		a.leave(c, errors.Join(err, overstays))
		return
	}
	a.byRequest = a.asked || a.ask == Stop
	stop := a.group.closing || a.ask == Stop
	if stop && before {
		a.to(Failed, err, 0)
		return
	}
	if a.s.Restart.policy() == RestartNever || IsPermanent(err) {
		a.to(Failed, err, 0)
		return
	}
	if why := a.restartable(); why != nil {
		a.to(Failed, fmt.Errorf("%w; %w", err, why), 0)
		return
	}
	wait, ok := a.failures.add(time.Now(), a.s.Limits)
	if !ok {
		a.to(Failed, fmt.Errorf("%w (it has failed %s)", err, a.failures.tooMany(a.s.Limits)), 0)
		return
	}
	if stop {
		a.to(Stopped, err, 0)
		return
	}
	a.pause = wait
	a.to(Backoff, err, wait)
}

// leave gives up an attempt that does not end. Until it ends, the server cannot start again. The lock is held.
func (a *Actor) leave(c *attempt, err error) {
	a.left = c.ended
	a.byRequest = a.asked || a.ask != nothing
	a.ask = nothing
	a.to(Failed, err, 0)
}
