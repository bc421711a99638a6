package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/child"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// runIsolated is what the binary does as a child: it runs one server of its parent's plan.
func (hk *HyperKube) runIsolated(args []string) error {
	if err := os.Unsetenv(isolatedVariable); err != nil { // it is not for what this process starts
		return hk.report(err)
	}
	var plan childPlan
	parent, err := child.Connect(&plan)
	if err != nil || len(args) != 1 {
		return hk.wrongUsage(fmt.Errorf("`%s %s` is how `%[1]s run` calls itself for a server with --SERVER.isolation=process",
			hk.Name, isolatedCommand), nil)
	}
	err = hk.runFor(parent, &plan)
	if err != nil {
		r := child.Report{Failed: err.Error(), Permanent: life.IsPermanent(err)}
		if exit, ok := errors.AsType[*ExitError](err); ok {
			r.Code = exit.Code
		}
		parent.Report(r)
		return &ExitError{Code: 1} // the parent says why
	}
	return nil
}

// runFor runs the server until the parent wants it to stop.
func (hk *HyperKube) runFor(parent *child.Parent, plan *childPlan) error {
	// When to stop is the parent's business, in the order of all servers, also if others send signals to each process,
	// as systemd does. They are not ignored: that would be inherited.
	system.CatchHangup(system.CatchStops())
	p, s, err := hk.adopt(plan)
	if err != nil {
		return err
	}
	there := s.at()
	there.parent = parent
	level, err := logging.ParseLevel(plan.LogLevel)
	if err != nil {
		return err
	}
	// Lines of no server in this process are the server's, too.
	logs := logging.New(logging.Config{Level: level, Files: true, Program: s.Name()})
	defer logs.Close()
	p.run.logs, there.log = logs, logs.Server(s.Name())
	there.log.Claim(s.Packages...)
	if err := there.log.SetVModule(plan.VModule); err != nil {
		return err
	}
	if err := there.log.Pipe(child.LogFile()); err != nil {
		return err
	}
	logs.TakeDefaults()
	limitMemory(there.log)
	// When it is started again, and how long it may take to stop, is the parent's business.
	there.policy.restart, there.policy.grace, there.killedAfter = RestartNever, 24*time.Hour, child.KilledAfter(plan.Grace)
	g := newGroup([]*Server{s})
	g.Nested = true
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		parent.Obey(child.Orders{
			Stop: func() {
				cancel() // it may still be preparing
				g.Close()
			},
			Level: func(level zapcore.Level) {
				if level != there.log.Level() {
					there.log.SetLevel(level)
				}
			},
		})
		if !g.Ended() { // the parent has died: this process ends, too
			logs.Flush()
			os.Exit(1)
		}
	}()
	if err := p.run.prepareIsolated(ctx, s); err != nil {
		return err
	}
	l, err := system.ListenUnix(childSocketPath(p, s))
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, child.Handler()) }() // it ends with the process, and its parent removes the file
	go g.Read(context.Background(), 0, func(e Event) { reportEvent(parent, e) })
	err = g.Run(make(chan os.Signal))
	if why := g.Actors()[0].Err(); err != nil && why != nil {
		return why // the parent names the server
	}
	return err
}

// reportEvent tells the parent what it does not see by itself.
func reportEvent(parent *child.Parent, e Event) {
	switch {
	case e.IsDegradation():
		text := ""
		if e.Err != nil {
			text = e.Err.Error()
		}
		parent.Report(child.Report{Degraded: &text})
	case e.To == Ready:
		parent.Report(child.Report{Ready: true, Address: e.Address})
	case e.IsHindrance() && e.Err != nil:
		parent.Report(child.Report{Hindered: e.Err.Error()})
	case e.IsHindrance():
		parent.Report(child.Report{})
	}
}

// prepareIsolated does for one server what prepare does for all. The parent has done so before; what it made is there.
func (r *run) prepareIsolated(ctx context.Context, s *Server) (err error) {
	p, log := r.plan, s.Log()
	if r.hk.Setup != nil {
		r.logs.Program().Do(func() { err = r.hk.Setup(p) })
		if err != nil {
			return err
		}
	}
	if s.Check != nil {
		log.Do(func() { err = s.Check(s.context(ctx), p, s) })
		if err != nil {
			return err
		}
	}
	if err := s.listen(p); err != nil {
		return err
	}
	// What servers prepare may be for those that need them.
	wanted := p.needsOf(s)
	for _, other := range p.Servers {
		if other.Prepare == nil || !slices.Contains(wanted, other) {
			continue
		}
		if other != s { // it has no log here, but may log
			other.at().log = log
		}
		log.Do(func() { err = other.Prepare(s.context(ctx), p, other) })
		if other != s {
			other.at().log = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needsOf returns the server with its direct and indirect needs.
func (p *Plan) needsOf(s *Server) []*Server {
	all := []*Server{s}
	for i := 0; i < len(all); i++ { // grows while it runs
		for _, need := range all[i].Needs {
			if needed := p.Server(need.Server); needed != nil && !slices.Contains(all, needed) {
				all = append(all, needed)
			}
		}
	}
	return all
}
