package supervisor

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// attempt is one call of Build and of Run, and of Ready beside that.
type attempt struct {
	a      *actor
	ctx    context.Context
	cancel context.CancelFunc
	built  chan error // what Build returned
	ran    chan error // what Run returned
	// what Ready returned; nil when built, if there is no Ready; no channel if there is no Build either
	ready chan error
	calls atomic.Int32  // those of the three that have not returned, and one more until the end, as more may follow
	ended chan struct{} // closed when all have returned, and what they have made is released
}

// attempt begins one: it calls Build.
func (a *actor) attempt() *attempt {
	select {
	case <-a.fails: // from before there was anything to fail
	default:
	}
	if a.s.Ready != nil { // without it, there is no start that could fail
		a.log().SetPhase(logging.Starting)
	}
	c := &attempt{a: a, built: make(chan error, 1), ran: make(chan error, 1), ended: make(chan struct{})}
	c.calls.Store(1)
	a.renewEnding()
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if a.s.Build == nil {
		c.built <- nil
	} else {
		c.begin(c.built, "Build", func(ctx context.Context) error { return a.s.Build(ctx, a.s) })
	}
	return c
}

// start calls Run, when Build has returned, and Ready.
func (c *attempt) start() {
	s := c.a.s
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
		return s.Run(ctx, s, nil)
	})
	if s.Ready != nil {
		c.begin(c.ready, "Ready", func(ctx context.Context) error { return s.Ready(ctx, s) })
	}
}

// begin calls f in a goroutine of the server's.
func (c *attempt) begin(returned chan<- error, what string, f func(context.Context) error) {
	log := c.a.log() // first: the context has it
	ctx := c.a.s.context(c.ctx)
	c.calls.Add(1)
	go log.Do(func() {
		defer c.returned()
		// The goroutine may be ended under it, by runtime.Goexit.
		err := fmt.Errorf("the goroutine of its %s was ended", what)
		defer func() { returned <- err }()
		err = c.a.s.Guard(func() error { return f(ctx) })
	})
}

// returned is called when one of the calls has returned.
func (c *attempt) returned() {
	if c.calls.Add(-1) > 0 {
		return
	}
	go c.a.log().Do(func() { // it may take a while, and the grace period is for that, too
		defer close(c.ended)
		c.a.s.release()
	})
}

// end ends the server's context and waits for what was called to return, for the grace period at most. The error says
// that it has not: it is left behind.
func (a *actor) end(c *attempt) error {
	a.log().SetPhase(logging.Ending)
	a.tellEnding()
	c.cancel()
	c.returned()
	period := grace(a.s)
	timer := time.NewTimer(period)
	defer timer.Stop()
	select {
	case <-c.ended:
		select {
		case err := <-c.ran:
			if err != nil {
				a.log().Zap().Debug("ended", zap.Error(err))
			}
		default:
		}
		return nil
	case <-timer.C:
	}
	a.log().Release() // these lines are to be seen
	a.log().Zap().Error("did not stop in its grace period, and is left behind; its log has the stacks of its goroutines",
		zap.Duration("grace period", period))
	a.log().Zap().Info("its goroutines", zap.String("stacks", logging.Stacks(a.s.Name())))
	return fmt.Errorf("it did not stop within %v and is left behind; --%s.grace-period gives it more time", period, a.s.Name())
}
