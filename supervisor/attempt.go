package supervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// attempt is one call of Run, and of Ready beside it.
type attempt struct {
	ctx    context.Context
	cancel context.CancelFunc
	ran    chan error      // what Run returned
	ready  chan error      // what Ready returned; nil if there is no Ready
	ended  <-chan struct{} // closed when both have returned
}

// call calls Run and Ready in goroutines of the server's.
func (a *actor) call() *attempt {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	c := &attempt{ctx: ctx, cancel: cancel, ran: make(chan error, 1), ended: ended}
	log := a.log() // first: the context has it
	ctx = a.s.context(ctx)
	var both sync.WaitGroup
	begin := func(returned chan<- error, what string, f func() error) {
		both.Add(1)
		go log.Do(func() {
			defer both.Done()
			// The goroutine may be ended under it, by runtime.Goexit.
			err := fmt.Errorf("the goroutine of its %s was ended", what)
			defer func() { returned <- err }()
			err = a.s.Guard(f)
		})
	}
	begin(c.ran, "Run", func() error {
		defer cancel() // Ready is not to outlive Run
		return a.s.Run(ctx, a.s, nil)
	})
	if a.s.Ready != nil {
		c.ready = make(chan error, 1)
		begin(c.ready, "Ready", func() error { return a.s.Ready(ctx, a.s) })
	}
	go func() {
		both.Wait()
		close(ended)
	}()
	return c
}

// end ends the server's context and waits for Run and Ready to return, for the grace period at most. The error says that it
// has not: it is left behind.
func (a *actor) end(c *attempt) error {
	a.log().SetPhase(logging.Ending)
	c.cancel()
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
