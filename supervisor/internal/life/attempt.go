package life

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// attempt is one call of Build and of Run, and of Ready beside that.
type attempt struct {
	a      *Actor
	ctx    context.Context
	cancel context.CancelFunc
	built  chan error // what Build returned
	ran    chan error // what Run returned
	// ready has what Ready returned; nil when built, if there is no Ready. It is nil if there is no Build either.
	ready chan error
	calls atomic.Int32  // calls that have not returned, and one more until the end, as calls may follow
	ended chan struct{} // closed when all have returned, and what they have made is released
}

// attempt begins one: it calls Build.
func (a *Actor) attempt() *attempt {
	select {
	case <-a.fails: // from before there was anything to fail
	default:
	}
	if a.s.Ready != nil { // without Ready, no start can fail
		a.s.Log.SetPhase(logging.Starting)
	}
	c := &attempt{a: a, built: make(chan error, 1), ran: make(chan error, 1), ended: make(chan struct{})}
	c.calls.Store(1)
	a.renewEnding()
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if a.s.Build == nil {
		c.built <- nil
	} else {
		c.begin(c.built, "Build", a.s.Build)
	}
	return c
}

// start calls Run, when Build has returned, and Ready.
func (c *attempt) start() {
	s := &c.a.s
	if s.Ready != nil || s.Build != nil {
		c.ready = make(chan error, 1)
	}
	c.begin(c.ran, "Run", func(ctx context.Context) error {
		defer c.cancel() // Ready is not to outlive Run
		err := <-c.built
		if err == nil && s.Build != nil {
			err = ctx.Err() // it may have taken a while
		}
		if err != nil {
			return err
		}
		if s.Ready == nil && c.ready != nil {
			c.ready <- nil
		}
		return s.Run(ctx)
	})
	if s.Ready != nil {
		c.begin(c.ready, "Ready", s.Ready)
	}
}

// begin calls f in a goroutine of the server's.
func (c *attempt) begin(returned chan<- error, what string, f func(context.Context) error) {
	log := c.a.s.Log
	ctx := logr.NewContext(c.ctx, log.Logr()) // where code that logs with logr looks for it
	c.calls.Add(1)
	go log.Do(func() {
		defer c.returned()
		// f may end the goroutine, by runtime.Goexit.
		err := fmt.Errorf("the goroutine of its %s was ended", what)
		defer func() { returned <- err }()
		err = Guard(log.Zap(), func() error { return f(ctx) })
	})
}

// returned is called when one of the calls has returned.
func (c *attempt) returned() {
	if c.calls.Add(-1) > 0 {
		return
	}
	release := c.a.s.Release
	if release == nil {
		close(c.ended)
		return
	}
	go c.a.s.Log.Do(func() { // it may take a while, and the grace period is for that, too
		defer close(c.ended)
		release()
	})
}

// end ends the server's context and waits for what was called to return, for the grace period at most. The error says
// that they have not: the attempt is left behind.
func (a *Actor) end(c *attempt) error {
	log := a.s.Log
	log.SetPhase(logging.Ending)
	a.tellEnding()
	c.cancel()
	c.returned()
	period := a.s.period()
	timer := time.NewTimer(period)
	defer timer.Stop()
	select {
	case <-c.ended:
		select {
		case err := <-c.ran:
			if err != nil {
				log.Zap().Debug("ended", zap.Error(err))
			}
		default:
		}
		return nil
	case <-timer.C:
	}
	log.Release() // people are to see these lines
	log.Zap().Error("did not stop in its grace period, and is left behind; its log has the stacks of its goroutines",
		zap.Duration("grace period", period))
	log.Zap().Info("its goroutines", zap.String("stacks", logging.Stacks(a.s.Name)))
	return errors.New(with(fmt.Sprintf("it did not stop within %v and is left behind", period), "; ", a.s.Advice.Overstays))
}

// Ending returns a channel that is closed when the server is to end, before its context ends. If somebody wants the
// server to end, those that need it end in between, and it can help them to. When it fails, the context ends at once.
// It is for Build, Run and Ready. Each start has its own channel.
func (a *Actor) Ending() <-chan struct{} {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.toEnd.told
}

// ending is what is closed when a server is to end.
type ending struct {
	told   chan struct{}
	closed bool
}

func (en *ending) tell() {
	if en.told != nil && !en.closed {
		close(en.told)
		en.closed = true
	}
}

// tellEnding tells that the context is about to end, unless that was told before.
func (a *Actor) tellEnding() {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.toEnd.tell()
}

// renewEnding makes the channel of a new attempt, whose end nobody has told of yet.
func (a *Actor) renewEnding() {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.toEnd = ending{told: make(chan struct{})}
}
