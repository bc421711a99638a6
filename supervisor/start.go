package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/seed-200a7251/km/supervisor/internal/bare"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// Running are servers that Start has started.
type Running struct {
	plan *Plan
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// starting keeps two Starts from setting variables of the process at the same time.
var starting sync.Mutex

// Start runs servers as `run` with these arguments does, in a process that is somebody else's, such as that of a test,
// and returns when all of them are ready. They run until ctx ends or Stop is called, and are then stopped in order.
//
// What belongs to the process is left alone: signals, its standard error, the loggers that Go programs share, what is
// written at a crash, the environment (no flag is taken from it). A HyperKube can be started once. If it returns an
// error, no server runs any more, and what is wrong has been printed (SetOut says where), unless it is only that they
// were stopped before all were ready.
//
// A server with IsolationProcess runs in a process of the same binary: its main function has to call Run with os.Args
// if the first of these is the HyperKube's Name.
func (hk *HyperKube) Start(ctx context.Context, args ...string) (*Running, error) {
	r := &Running{done: make(chan struct{})}
	var within context.Context
	within, r.stop = context.WithCancel(ctx)
	if err := hk.planStart(within, r, args); err != nil {
		r.stop()
		return nil, hk.wrongUsage(err, nil)
	}
	go func() {
		defer close(r.done)
		defer r.stop()
		signals, sent := make(chan os.Signal, 1), make(chan struct{})
		unused := context.AfterFunc(within, func() { signals <- os.Interrupt; close(sent) })
		// Without cancel: its readers of events have something to read as long as servers run.
		r.err = r.plan.run.serve(context.WithoutCancel(within), signals)
		if !unused() {
			<-sent
		}
		close(signals)
	}()
	began := r.plan.run.began
	var beganErr error
	select {
	case <-began.over:
		if beganErr = began.err; beganErr == nil {
			return r, nil
		}
	case <-r.done: // nothing has been started
	}
	if err := r.Stop(); err != nil {
		return nil, err
	}
	return nil, cmp.Or(ctx.Err(), beganErr, errors.New("the servers ended before all were ready"))
}

// planStart plans what Start is to do, and checks it.
func (hk *HyperKube) planStart(ctx context.Context, r *Running, args []string) error {
	starting.Lock()
	defer starting.Unlock()
	switch {
	case os.Getenv(isolatedVariable) != "":
		return fmt.Errorf("this process was called as %q for a server with --SERVER.isolation=process, and does something else: its main function is to call Run (see HyperKube.Start)", os.Args)
	case hk.started:
		return errors.New("it was started before: make another HyperKube")
	}
	hk.started = true
	hk.settings.bare = bare.Is(ctx)
	begin := now()
	p, err := hk.plan(nil, args, nil)
	switch {
	case p == nil && err == nil:
		return errors.New("help is there for people only: leave --help out")
	case p == nil:
		return err
	case hk.settings.printConfig || p.run.foreground != nil:
		return p.run.abandon(errors.New("--print-config, and a command behind `--`, are for people: leave them out"))
	}
	p.Embedded = true
	p.run.begin, r.plan = begin, p
	if err := p.run.check(ctx); err != nil {
		return p.run.abandon(err)
	}
	return nil
}

// Events calls f with each event whose number is above after (0 for all), in order: past ones, and those to come, until
// the last server has ended or ctx ends. A slow f holds nothing up.
func (running *Running) Events(ctx context.Context, after int64, f func(Event)) {
	running.plan.run.group.Read(ctx, after, f)
}

// EventsSoFar are the events that there are, in order.
func (running *Running) EventsSoFar() []Event { return running.plan.run.group.Events(0) }

// Await waits until a server is in a state. An error says why it is not: ctx has ended, all servers have, or no server
// of that name is run. A state that the server leaves at once may be missed; Events has each.
func (running *Running) Await(ctx context.Context, server string, state State) error {
	actor := running.plan.run.group.Find(server)
	if actor == nil {
		return fmt.Errorf("%s is not run: %s are", server, nameList(running.plan.Servers))
	}
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-running.done:
			cancel(errors.New("all servers have ended"))
		case <-within.Done():
		}
	}()
	if !actor.Await(within, state) {
		return fmt.Errorf("%s is %v, and not %v: %w", server, actor.Status().State, state, context.Cause(within))
	}
	return nil
}

// steer asks for something, as the command of that name does, and returns when it has come to pass.
func (running *Running) steer(ctx context.Context, what life.Verb, servers []string) error {
	check := func(server string) error { return running.plan.run.checkAgain(ctx, server) }
	request, err := running.plan.run.group.Ask(what, check, servers...)
	if err != nil {
		return err
	}
	return request.Wait(ctx)
}

// StartServers starts servers, and those that they need, and waits until they are ready.
func (running *Running) StartServers(ctx context.Context, servers ...string) error {
	return running.steer(ctx, life.Start, servers)
}

// StopServers stops servers, and first those that need them, and waits until they have ended. The others go on.
func (running *Running) StopServers(ctx context.Context, servers ...string) error {
	return running.steer(ctx, life.Stop, servers)
}

// RestartServers stops servers, starts them again, and waits until they are ready. Those that need them go on.
func (running *Running) RestartServers(ctx context.Context, servers ...string) error {
	return running.steer(ctx, life.Restart, servers)
}

// Plan is what was planned.
func (running *Running) Plan() *Plan { return running.plan }

// Done is closed when all servers have ended.
func (running *Running) Done() <-chan struct{} { return running.done }

// Stop stops the servers in order, and returns when they have ended. The error is that of a server that has failed for
// good, if there is one. It may be called several times, from several goroutines.
func (running *Running) Stop() error {
	running.stop()
	<-running.done
	return running.err
}
