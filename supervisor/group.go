package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/oklog/run"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// group runs servers as the actors of one oklog/run group, with one more for signals. run.Group starts all actors at
// once, and interrupts all when the first one returns; which server waits for which is decided inside each actor.
type group struct {
	events *events
	actors []*actor
	active atomic.Int64 // actors whose server has not ended
}

func newGroup(servers []*Server) *group {
	g := &group{events: newEvents()}
	byName := map[string]*actor{}
	for _, s := range servers {
		a := &actor{
			s:     s,
			group: g,
			fails: make(chan error, 1),
			ready: make(chan struct{}),
			ended: make(chan struct{}),
			stop:  make(chan struct{}),
		}
		for _, name := range s.names() {
			byName[name] = a
		}
		s.actor.Store(a)
		g.actors = append(g.actors, a)
	}
	for _, a := range g.actors {
		for _, need := range a.s.Needs {
			if needed := byName[need.Server]; needed != nil {
				a.needs = append(a.needs, needed)
				needed.neededBy = append(needed.neededBy, a)
			}
		}
	}
	g.active.Store(int64(len(g.actors)))
	return g
}

// errStop ends the group without being an error.
var errStop = errors.New("stop")

// errForced says that a second signal ended the group: the servers were not waited for.
var errForced = errors.New("ended without waiting for the servers")

// run runs the servers until all have ended. The first signal stops them in order, a second one ends the wait at once with
// an ExitError. The error is that of the server that failed first.
func (g *group) run(signals <-chan os.Signal) error {
	var actors run.Group
	quit := make(chan struct{})
	forced := make(chan os.Signal, 1)
	first := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			s, ok := <-signals
			switch {
			case !ok:
				return
			case n == 1:
				close(first)
			case n == 2:
				forced <- s
				return
			}
		}
	}()
	actors.Add(func() error {
		select {
		case <-first:
		case <-quit:
		}
		return errStop
	}, func(error) { close(quit) })
	for _, a := range g.actors {
		actors.Add(a.execute, a.interrupt)
	}
	done := make(chan error, 1)
	go func() { done <- actors.Run() }()

	select {
	case err := <-done:
		g.events.close()
		if errors.Is(err, errStop) {
			err = nil
		}
		for _, a := range g.actors {
			if err == nil {
				err = a.err // one that failed while all were stopping
			}
		}
		return err
	case s := <-forced:
		return &ExitError{Code: signalCode(s), Err: fmt.Errorf("second signal (%v): %w", s, errForced)}
	}
}

// actor runs one server.
type actor struct {
	s        *Server
	group    *group
	needs    []*actor
	neededBy []*actor

	state State         // set by to alone, in execute's goroutine
	err   error         // why it failed; to be read when ended is closed
	fails chan error    // what Server.Fail was called with
	ready chan struct{} // closed when the server has become ready
	ended chan struct{} // closed when it has ended
	stop  chan struct{} // closed when it is asked to stop
}

// to changes the server's state. Every change goes through here and becomes an event.
func (a *actor) to(state State, err error) {
	if !follows(a.state, state) {
		panic(fmt.Sprintf("supervisor: server %s cannot go from %v to %v", a.s.Name(), a.state, state))
	}
	e := Event{Time: now(), Server: a.s.Name(), From: a.state, To: state, Err: err}
	a.state, a.err = state, err
	if state == Ready && a.s.Address != nil {
		e.Address = a.s.Address(a.s)
	}
	a.group.events.publish(e)
	switch {
	case state == Ready:
		close(a.ready)
	case state.Ended():
		close(a.ended)
	}
}

// interrupt asks the server to stop. run.Group calls it once.
func (a *actor) interrupt(error) { close(a.stop) }

// execute is the server's life. It returns when the server has ended and, if it ended without an error, when all others
// have ended too or the group stops: the first return stops the group.
func (a *actor) execute() error {
	if !a.waitForNeeds() {
		a.to(Stopped, nil)
		return nil
	}
	select {
	case <-a.fails: // from before there was anything to fail
	default:
	}
	a.to(Starting, nil)
	if a.s.Ready != nil { // without it, there is no start that could fail
		a.log().SetPhase(logging.Starting)
	}
	defer time.AfterFunc(quietStart, a.log().Settle).Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ran, becameReady := a.call(ctx, cancel)
	if a.s.Ready == nil {
		a.becomeReady()
	}
	for {
		select {
		case err := <-becameReady:
			becameReady = nil
			switch {
			case err == nil:
				a.becomeReady()
			case ctx.Err() == nil: // if it has ended, Run tells why
				_ = a.stopRun(cancel, ran)
				return a.fail(err)
			}
		case err := <-a.fails:
			// What it runs into now that its context ends is no news.
			_ = a.stopRun(cancel, ran)
			return a.fail(err)
		case err := <-ran:
			select {
			case err = <-a.fails: // Fail ended Run: it knows better why
			default:
			}
			if err == nil && a.state != Ready && ready(becameReady) {
				a.becomeReady() // both at once
			}
			switch {
			case err != nil:
				return a.fail(err)
			case a.state != Ready:
				return a.fail(errors.New("it ended before it was ready"))
			}
			a.to(Stopped, nil)
			if a.group.active.Add(-1) == 0 {
				return nil // the last one is done, and so is the group
			}
			<-a.stop
			return nil
		case <-a.stop:
			if err := a.waitForNeeding(ran); err != nil {
				return a.fail(err)
			}
			a.to(Stopping, nil)
			if err := a.stopRun(cancel, ran); err != nil {
				a.to(Failed, err)
				return err
			}
			a.to(Stopped, nil)
			return nil
		}
	}
}

// quietStart is how long a server may take to start before the lines are shown that are held meanwhile.
const quietStart = 15 * time.Second

func (a *actor) becomeReady() {
	a.log().SetPhase(logging.Running)
	a.to(Ready, nil)
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

// waitForNeeds waits until the servers that this one needs are ready. It returns false if it is not to start any more.
func (a *actor) waitForNeeds() bool {
	for _, needed := range a.needs {
		select {
		case <-needed.ready:
		case <-a.stop:
			return false
		}
	}
	select {
	case <-a.stop:
		return false
	default:
		return true
	}
}

// waitForNeeding waits until the servers that need this one have ended. If this one ends meanwhile, it returns why.
func (a *actor) waitForNeeding(ran chan error) error {
	for _, needing := range a.neededBy {
		select {
		case <-needing.ended:
		case err := <-ran:
			ran <- err // for stopRun
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// call calls Run and Ready in goroutines of the server's.
func (a *actor) call(ctx context.Context, cancel context.CancelFunc) (ran, becameReady chan error) {
	log := a.log() // first: the context has it
	ctx = a.s.context(ctx)
	ran = make(chan error, 1)
	go log.Do(func() {
		// Run's goroutine may be ended under it, by runtime.Goexit.
		err := errors.New("the goroutine of its Run was ended")
		defer func() {
			ran <- err
			cancel() // Ready is not to outlive Run
		}()
		err = a.guard(func() error { return a.s.Run(ctx, a.s, nil) })
	})
	if a.s.Ready == nil {
		return ran, nil
	}
	becameReady = make(chan error, 1)
	go log.Do(func() {
		err := errors.New("the goroutine of its Ready was ended")
		defer func() { becameReady <- err }()
		err = a.guard(func() error { return a.s.Ready(ctx, a.s) })
	})
	return ran, becameReady
}

// guard turns a panic into an error, and logs its stack.
func (a *actor) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
			a.log().Zap().Error("panic", zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return f()
}

// stopRun ends the server's context and waits for Run to return, for the grace period at most.
func (a *actor) stopRun(cancel context.CancelFunc, ran <-chan error) error {
	a.log().SetPhase(logging.Ending)
	cancel()
	period := grace(a.s)
	timer := time.NewTimer(period)
	defer timer.Stop()
	select {
	case err := <-ran:
		if err != nil {
			a.log().Zap().Debug("ended", zap.Error(err))
		}
		return nil
	case <-timer.C:
		a.log().Release() // these lines are to be seen
		a.log().Zap().Error("did not stop in its grace period, and is left behind; its log has the stacks of its goroutines",
			zap.Duration("grace period", period))
		a.log().Zap().Info("its goroutines", zap.String("stacks", logging.Stacks(a.s.Name())))
		return fmt.Errorf("%s did not stop within %v and is left behind; --%s.grace-period gives it more time",
			a.s.Name(), period, a.s.Name())
	}
}

func (a *actor) fail(err error) error {
	a.log().Release()
	a.to(Failed, err)
	return fmt.Errorf("%s failed: %w", a.s.Name(), err)
}

// log is where the server's goroutines are labelled. A server that runs outside of a plan, in a test, has none.
func (a *actor) log() *logging.Log {
	if a.s.log == nil {
		a.s.log = logging.New(logging.Config{}).Server(a.s.Name())
	}
	return a.s.log
}

func stopSignals(c chan os.Signal) {
	signal.Stop(c)
	close(c)
}
