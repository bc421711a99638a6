package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/kept"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/sweep"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// run is what happens to a plan, from its beginning to the end of the last server.
type run struct {
	hk    *HyperKube
	plan  *Plan
	begin time.Time

	logs       *logging.Logs
	logFiles   []logFile
	group      *life.Group
	socket     *adminSocket
	public     net.Listener // where the admin API answers read-only, for whoever can reach it; nil for none
	began      *beginning
	foreground *foreground // nil if no command is to be run
	notifier   *notifier

	sweeper *sweep.Sweeper // nil if a killed process would leave nothing behind that has to be removed
	folder  *kept.Files    // the data folder and its lock, while they are held
	losing  sync.Once
	lost    atomic.Bool // the data folder is gone: nothing is written at its path, nor removed there
	moved   string      // where it is then, if that is known

	crash  *crash.Crash // how the run before has ended, if that was not by a stop
	forget func() error // is to be called when this one has ended in an orderly way
	atEnd  []func()
}

// newRun returns a run of the plan that has not begun.
func (hk *HyperKube) newRun(p *Plan) *run {
	return &run{hk: hk, plan: p, begin: now(), began: newBeginning(), notifier: &notifier{}, forget: func() error { return nil }}
}

// runServers is `run`: from the arguments to the end of the last server. If composite is not nil, it was called by its
// name, and its members are run.
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
		p.run.begin = begin
		err = p.run.carryOut()
	case err == nil:
		defer p.run.logs.Close()
		return hk.report(hk.printConfig(p))
	default:
		if p != nil {
			p.run.logs.Close()
		}
		err = hk.wrongUsage(err, nil)
	}
	if p == nil || p.given.wrong.err() != nil {
		fmt.Fprintf(hk.errOut(), "See '%s'.\n", hk.typed(word, "--help"))
	}
	return err
}

// prepareForeground makes the foreground of a command that is to be run with the servers; nil is none.
func (r *run) prepareForeground(command []string) (err error) {
	if command == nil {
		return nil
	}
	r.hk.screen().out = r.hk.errOut() // standard output is for what the command prints
	r.foreground, err = newForeground(r, command)
	return err
}

// carryOut runs the planned servers until they have ended, or the command that is run with them has.
func (r *run) carryOut() (err error) {
	caught := system.CatchStops()
	var signals <-chan os.Signal
	if r.foreground == nil {
		signals = withoutCopies(caught)
	} else {
		signals = r.foreground.signals(caught)
	}
	restore := system.Outlive(func() {
		if r.foreground == nil { // otherwise it is told
			r.logs.Program().Zap().Warn("the terminal was closed; the servers go on until SIGTERM", zap.Int("pid", os.Getpid()))
		}
	})
	if !r.hk.exits { // otherwise the process would die of one more signal on its way to the exit
		defer system.StopSignals(caught)
		defer restore()
	}
	r.notifier = newNotifier(r)
	r.logs.TakeDefaults()
	limitMemory(r.logs.Program())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	checked := make(chan error, 1)
	go func() { checked <- r.check(ctx) }()
	select {
	case err := <-checked:
		if err != nil {
			return r.hk.wrongUsage(r.abandon(err), nil)
		}
	case <-signals: // not waited for: nothing has been written, and a server may read a pipe without end
		_ = r.abandon(nil)
		return r.hk.report(r.foregroundResult())
	}
	if err = r.serve(ctx, signals); err == nil {
		err = r.hk.report(r.foregroundResult())
	}
	return err
}

// foregroundResult is how the command has ended, if there is one.
func (r *run) foregroundResult() error {
	if r.foreground == nil {
		return nil
	}
	return r.foreground.result()
}

// abandon is the end of a run that is not carried out because of the error.
func (r *run) abandon(err error) error {
	r.end()
	r.logs.Close()
	return err
}

// end calls what AtEnd was given, once.
func (r *run) end() {
	for len(r.atEnd) > 0 {
		last := len(r.atEnd) - 1
		f := r.atEnd[last]
		r.atEnd = r.atEnd[:last]
		f()
	}
}

// serve runs the servers, which have been checked, until they have ended. The first signal stops them in order, a
// second one ends the wait at once. The end of ctx ends only what comes before their start, and what reads their
// events.
func (r *run) serve(ctx context.Context, signals <-chan os.Signal) (err error) {
	defer r.end()
	release, err := r.prepare(ctx)
	// What is logged comes before an error on the screen, and all of it before the folder may be removed.
	defer func() {
		if releaseErr := release(); err == nil && releaseErr != nil {
			err = r.hk.report(releaseErr)
		}
	}()
	defer r.logs.Close()
	defer func() {
		r.socket.close()
		if r.public != nil {
			_ = r.public.Close() // it is closed already, if anything was served
		}
	}()
	if err != nil {
		r.logs.Close()
		return r.hk.wrongUsage(errors.Join(err, r.forget()), nil)
	}

	r.makeGroup()
	shown := r.tell(ctx)
	go r.notifier.watch(ctx, r.group)
	go r.relax(ctx)
	resting, rested := context.WithCancel(ctx)
	defer rested()
	go r.giveBack(resting)
	err = r.outcome(r.group.Run(signals))
	if r.foreground != nil {
		r.foreground.kill()
	}
	forced, ok := errors.AsType[*life.ForcedError](err)
	if ok {
		err = &ExitError{Code: system.SignalCode(forced.Signal), Err: err}
	} else {
		select {
		case <-shown:
		case <-time.After(showLimit):
		}
	}
	r.recordEnd()
	r.end()
	r.logs.Close()
	if forgetErr := r.forget(); err == nil {
		err = forgetErr
	}
	if err == nil {
		return nil
	}
	err = r.hk.report(err)
	if !r.plan.Ephemeral && !r.lost.Load() {
		fmt.Fprintf(r.hk.errOut(), "See '%s'.\n", r.plan.Command("logs"))
	}
	return err
}

// makeGroup makes the group of the servers, with what runs beside them. Isolated servers get processes of their own.
func (r *run) makeGroup() {
	r.isolate()
	r.group = newGroup(r.plan.Servers)
	r.group.KeepGoing = r.hk.settings.keepGoing
	if r.socket != nil {
		r.group.Look = r.look
		r.group.Add(r.socket.serve(r), func(error) {})
	}
	if r.foreground != nil {
		r.group.Add(r.foreground.execute, r.foreground.interrupt)
	}
}

// newGroup makes a group of the servers.
func newGroup(servers []*Server) *life.Group {
	var members []life.Server
	for _, s := range servers {
		members = append(members, s.at().member())
	}
	g := life.NewGroup(members...)
	for i, s := range servers {
		s.at().actor.Store(g.Actors()[i])
	}
	return g
}

// tell has all readers read the group's events, in this order. shown is closed when they have read all.
func (r *run) tell(ctx context.Context) (shown <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := newConsole(r)
		r.group.Read(ctx, 0, func(e Event) {
			r.recordEvent(e)
			c.show(e)
			r.tellHindrance(e)
			r.notifier.show(e)
			r.began.show(e, r.group.Beginning())
		})
		r.began.end()
		c.close()
	}()
	return done
}

// showLimit is how long the end waits for a blocked screen, such as a terminal on which Ctrl-S was typed.
const showLimit = 2 * time.Second

// beginning is how the start of all servers together has gone. It is known when all other readers have read of it.
type beginning struct {
	over chan struct{} // closed when it is known
	err  error         // why not all servers became ready; to be read when over is closed
}

func newBeginning() *beginning { return &beginning{over: make(chan struct{})} }

// show is called with each event, in order, after all other readers, and with what the group knows.
func (bg *beginning) show(e Event, known *life.Beginning) {
	if known != nil && e.Seq == known.Seq {
		bg.settle(known.Err)
	}
}

// end is called when there are no more events.
func (bg *beginning) end() { bg.settle(errors.New("the servers ended before all were ready")) }

func (bg *beginning) settle(err error) {
	select {
	case <-bg.over:
	default:
		bg.err = err
		close(bg.over)
	}
}

// check sets up the process, has the servers check their flags, and returns all that is wrong, including what was found
// before. Nothing is written.
func (r *run) check(ctx context.Context) error {
	wrong := r.plan.given.wrong
	if r.plan.Embedded && wrong.err() != nil {
		return wrong.err() // what is set up in the process would stay
	}
	if r.hk.Setup != nil {
		// Lines that Setup logs are the program's own.
		var err error
		r.logs.Program().Do(func() { err = r.hk.Setup(r.plan) })
		if err != nil { // what servers say to their flags depends on it
			wrong.add(r.plan.locate(err, nil))
			return wrong.err()
		}
	}
	for _, s := range r.plan.Servers {
		if r.plan.given.wrong.of[s] {
			continue
		}
		if err := s.checkPorts(); err != nil {
			wrong.add(r.plan.locate(err, s))
			continue
		}
		if s.Check == nil {
			continue
		}
		s.Log().Do(func() { wrong.add(r.plan.locate(s.Check(s.context(ctx), r.plan, s), s)) })
	}
	return wrong.err()
}

// checkAgain has a server that runs, or has run, check its flags and the files that they name once more, before it
// starts anew.
func (r *run) checkAgain(ctx context.Context, server string) (err error) {
	s := r.plan.Server(server)
	if s.Check == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.Log().Do(func() { err = s.Guard(func() error { return s.Check(s.context(ctx), r.plan, s) }) })
	return r.plan.locate(err, s)
}

// prepare does all else that comes before the start of the first server: an error means that nothing was started.
// release is to be called at the end in any case.
func (r *run) prepare(ctx context.Context) (release func() error, err error) {
	p := r.plan
	release = func() error { return nil }
	if !r.hk.settings.bare {
		if release, err = r.hk.holdWithPaths(p); err != nil {
			return release, err
		}
		p.warnAbove()
	}
	for _, s := range p.Servers {
		if err := s.listen(p); err != nil {
			return release, err
		}
	}
	if !r.hk.settings.bare {
		if err := r.listenPublicly(); err != nil {
			return release, err
		}
		if err := r.openFiles(); err != nil {
			return release, err
		}
	}
	for _, s := range p.Servers {
		if s.Prepare != nil {
			s.Log().Do(func() { err = s.Prepare(s.context(ctx), p, s) })
			if err != nil {
				return release, p.withSpace(err)
			}
		}
	}
	return release, nil
}

// openFiles opens what is the run's own in the data folder.
func (r *run) openFiles() (err error) {
	if !r.plan.Embedded {
		r.lookBack()
	}
	if err := r.openLogs(); err != nil {
		return err
	}
	r.warnOfLevels()
	if r.public != nil {
		r.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Info("health and metrics are answered on TCP",
			zap.String("address", r.public.Addr().String()))
	}
	r.socket, err = openSocket(r.plan)
	return err
}
