package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// runServers is `run`: from the arguments to the end of the last server. If composite is not nil, it was called by its
// name, and its members are what is run.
func (hk *HyperKube) runServers(composite *Server, args []string) error {
	begin := now()
	word, usage := "run", hk.runUsage
	if composite != nil {
		word, usage = composite.Name(), func() { hk.compositeUsage(composite) }
	}
	p, err := hk.plan(composite, args, os.Environ())
	switch {
	case p == nil && err == nil: // help was asked for
		usage()
		return nil
	case p != nil && !hk.settings.printConfig:
		err = hk.runPlan(p, begin)
	case err == nil:
		defer p.logs.Close()
		return hk.report(hk.printConfig(p))
	default:
		if p != nil {
			p.logs.Close()
		}
		err = hk.wrongUsage(err, nil)
	}
	if p == nil || p.wrong.err() != nil {
		fmt.Fprintf(hk.errOut(), "See '%s'.\n", hk.typed(word, "--help"))
	}
	return err
}

// runPlan runs the planned servers until they have ended, or a command has that is run with them.
func (hk *HyperKube) runPlan(p *Plan, begin time.Time) (err error) {
	caught := system.CatchStops()
	var signals <-chan os.Signal
	if p.job == nil {
		signals = withoutCopies(caught)
	} else {
		signals = p.job.signals(caught)
	}
	restore := system.Outlive(func() {
		if p.job == nil { // otherwise it is told
			p.logs.Program().Zap().Warn("the terminal was closed; the servers go on until SIGTERM", zap.Int("pid", os.Getpid()))
		}
	})
	if !hk.exits { // otherwise one more signal on the way to the exit would be what the process dies of
		defer system.StopSignals(caught)
		defer restore()
	}
	n := newNotifier(p)
	p.logs.TakeDefaults()
	limitMemory(p.logs.Program())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	checked := make(chan error, 1)
	go func() { checked <- hk.check(ctx, p) }()
	select {
	case err := <-checked:
		if err != nil {
			return hk.wrongUsage(p.close(err), nil)
		}
	case <-signals: // nothing has been written, and what a server reads, such as a pipe, may never end
		return hk.stopped(p)
	}
	err = hk.serve(ctx, p, n, begin, signals)
	if err == nil && p.job != nil {
		err = hk.report(p.job.result())
	}
	return err
}

// stopped is the end of a run that is asked to stop before anything has been started.
func (hk *HyperKube) stopped(p *Plan) error {
	_ = p.close(nil)
	if p.job == nil {
		return nil
	}
	return hk.report(p.job.result())
}

// serve runs the servers, which have been checked, until they have ended. The first signal stops them in order, a
// second one ends the wait at once. With the context only what comes before their start ends, and what reads their
// events.
func (hk *HyperKube) serve(ctx context.Context, p *Plan, n *notifier, begin time.Time, signals <-chan os.Signal) (err error) {
	defer p.end()
	release, err := hk.prepare(ctx, p)
	// What is logged comes before an error on the screen, and all of it before the folder may be removed.
	defer func() {
		if releaseErr := release(); err == nil && releaseErr != nil {
			err = hk.report(releaseErr)
		}
	}()
	defer p.logs.Close()
	defer func() { p.admin.close() }()
	if err != nil {
		p.logs.Close()
		return hk.wrongUsage(errors.Join(err, p.forget()), nil)
	}

	hk.isolate(p)
	g := newGroup(p.Servers)
	g.keepGoing = hk.settings.keepGoing
	p.admin.group, p.admin.began = g, begin
	g.look, g.beside, g.job = p.admin.look, p.admin.serve, p.job
	shown := hk.tell(ctx, p, g, n, begin)
	go n.watch(ctx, g)
	go p.relax(ctx, g)
	go p.giveBack(ctx)
	err = p.admin.outcome(g.run(signals))
	if p.job != nil {
		p.job.kill()
	}
	if !errors.Is(err, errForced) {
		select {
		case <-shown:
		case <-time.After(showLimit):
		}
	}
	p.recordEnd()
	p.end()
	p.logs.Close()
	if forgetErr := p.forget(); err == nil {
		err = forgetErr
	}
	if err == nil {
		return nil
	}
	err = hk.report(err)
	if !p.Ephemeral && !p.lost.Load() {
		fmt.Fprintf(hk.errOut(), "See '%s'.\n", p.Command("logs"))
	}
	return err
}

// tell has all readers of the group's events read them, in this order. What it returns is closed when they have read
// all.
func (hk *HyperKube) tell(ctx context.Context, p *Plan, g *group, n *notifier, begin time.Time) (shown <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := newConsole(hk, p, begin)
		q := newQuiet(g)
		g.events.read(ctx, 0, func(e Event) {
			p.recordEvent(hk.Name, e)
			c.show(e)
			p.tellHindrance(e)
			n.show(e)
			q.show(e)
			p.began.show(g, e)
		})
		p.began.end()
		c.close()
	}()
	return done
}

// showLimit is how long the end waits for a screen that takes no more, such as a terminal on which Ctrl-S was typed.
const showLimit = 2 * time.Second

// check has the process set up and the servers look at their flags, and returns all that is wrong, with what was found
// before. Nothing is written.
func (hk *HyperKube) check(ctx context.Context, p *Plan) error {
	wrong := p.wrong
	if p.Embedded && wrong.err() != nil {
		return wrong.err() // what is set up in the process would stay
	}
	if hk.Setup != nil {
		// What is logged there is the program's own.
		var err error
		p.logs.Program().Do(func() { err = hk.Setup(p) })
		if err != nil { // what servers say to their flags depends on it
			wrong.add(p.locate(err, nil))
			return wrong.err()
		}
	}
	for _, s := range p.Servers {
		if s.Check == nil || p.wrong.of[s] {
			continue
		}
		s.log.Do(func() { wrong.add(p.locate(s.Check(s.context(ctx), p, s), s)) })
	}
	return wrong.err()
}

// checkAgain has a server that runs, or has run, look at its flags once more, and at files that they name, since
// somebody wants it to start anew.
func (p *Plan) checkAgain(ctx context.Context, s *Server) (err error) {
	if s.Check == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.log.Do(func() { err = s.Guard(func() error { return s.Check(s.context(ctx), p, s) }) })
	return p.locate(err, s)
}

// prepare does all else that comes before the start of the first server: an error here means that nothing was started.
// What it returns is to be called at the end, whatever happened.
func (hk *HyperKube) prepare(ctx context.Context, p *Plan) (release func() error, err error) {
	if release, err = hk.holdWithPaths(p); err != nil {
		return release, err
	}
	p.warnAbove()
	for _, s := range p.Servers {
		if s.Listen != nil {
			if err := s.Listen(p, s); err != nil {
				return release, err
			}
		}
	}
	if !p.Embedded {
		hk.lookBack(p)
	}
	if err := hk.openLogs(p); err != nil {
		return release, err
	}
	p.warnOfLevels()
	if p.admin, err = hk.openAdmin(p); err != nil {
		return release, err
	}
	for _, s := range p.Servers {
		if s.Prepare != nil {
			s.log.Do(func() { err = s.Prepare(s.context(ctx), p, s) })
			if err != nil {
				return release, p.withSpace(err)
			}
		}
	}
	return release, nil
}

// lookBack tells how the run before has ended, if that was not by a stop, and sees to it that the same can be told of
// this one.
func (hk *HyperKube) lookBack(p *Plan) {
	logger := p.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	crash, forget, err := keepCrash(p)
	p.crash, p.forget = crash, forget
	if err != nil {
		logger.Warn("how the previous run has ended, or this one will, cannot be told", zap.Error(err))
	}
	if crash != nil {
		logger.Warn(crash.String())
	}
}
