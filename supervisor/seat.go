package supervisor

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/child"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/sockets"
)

// seat is what a server has while it is run, besides what its author has written. A server is run once, and has one
// seat.
type seat struct {
	server      *Server
	log         *logging.Log
	policy      policy
	actor       atomic.Pointer[life.Actor] // nil before the group is made
	sockets     sockets.Set
	ports       ports
	alone       bool                   // the server was called by its name, and is the whole process
	marks       chan struct{}          // has something when Run has called MarkReady
	prefix      atomic.Pointer[string] // what stands before the address, for people
	cleanup     cleanup
	child       *child.Child  // where it runs in a process of its own, seen from the main process
	parent      *child.Parent // the same, seen from its own process
	killedAfter time.Duration // in its own process: after what time the parent kills it that has asked it to end
}

// policy is how a run treats a server: what its author has said, overridden by its flags.
type policy struct {
	grace     time.Duration
	restart   RestartPolicy
	limits    RestartLimits
	isolation Isolation
}

// policy is what the author has said.
func (s *Server) policy() policy {
	p := policy{grace: s.GracePeriod, restart: s.Restart, limits: s.RestartLimits, isolation: s.Isolation}
	if p.grace <= 0 {
		p.grace = DefaultGracePeriod
	}
	return p
}

// at is the server's seat.
func (s *Server) at() *seat {
	if there := s.seat.Load(); there != nil {
		return there
	}
	s.seat.CompareAndSwap(nil, &seat{server: s, policy: s.policy(), marks: make(chan struct{}, 1)})
	return s.seat.Load()
}

// member is the server as the group has it.
func (st *seat) member() life.Server {
	s := st.server
	m := life.Server{
		Name: s.Name(), Aliases: s.Aliases, Log: st.log, Release: st.release, Rest: st.sockets.Close,
		GracePeriod: st.policy.grace, Restart: st.policy.restart, Limits: st.policy.limits, FailsAlone: s.FailsAlone, Advice: s.advice(),
	}
	for _, need := range s.Needs {
		m.Needs = append(m.Needs, need.Server)
	}
	if s.Keeps != nil {
		m.Keeps = func() []string { return s.Keeps(s) }
	}
	if st.child != nil {
		m.Run, m.Ready, m.Address = st.child.Run, st.child.Ready, st.child.Address
		return m
	}
	m.Run = func(ctx context.Context) error { return s.Run(ctx, s, nil) }
	if s.Build != nil {
		m.Build = func(ctx context.Context) error { return s.Build(ctx, s) }
	}
	switch {
	case s.Ready != nil:
		m.Ready = func(ctx context.Context) error { return s.Ready(ctx, s) }
	case s.MarksReady || len(s.Ports) > 0:
		m.Ready = st.awaitMark
	}
	switch {
	case s.Address != nil:
		m.Address = func() string { return s.Address(s) }
	case len(s.Ports) > 0:
		m.Address = s.address
	}
	if s.StartsOnce != nil {
		m.StartsOnce = func() bool { return s.StartsOnce(s) }
	}
	return m
}

// scheme is what stands before the address, for people.
func (st *seat) scheme() string {
	if scheme := st.prefix.Load(); scheme != nil {
		return *scheme
	}
	return ""
}

func (st *seat) setScheme(scheme string) { st.prefix.Store(&scheme) }

// program is the name of the binary.
func (s *Server) program() string {
	if s.hk == nil {
		return "the program"
	}
	return s.hk.Name
}

// advice is what people can do if the server cannot be stopped or started.
func (s *Server) advice() life.Advice {
	program := s.program()
	return life.Advice{
		Overstays:  "--" + s.Name() + ".grace-period gives it more time",
		StartsOnce: "start " + program + " again, or give it a process of its own with --" + s.Name() + ".isolation=process",
		StillRuns:  "start " + program + " again",
	}
}

// Isolated reports whether the server runs in a process of its own: as Isolation says or, once a run is planned, its
// flag.
func (s *Server) Isolated() bool { return s.at().policy.isolation == IsolationProcess }

// Fail makes the server fail, from any goroutine, as if Run had returned err: its context ends, and what follows is the
// same. It is for code that does something to the whole process instead of returning an error, such as a call that
// would end the process, if that can be caught. It does nothing if the server is not running, or is already being
// stopped.
func (s *Server) Fail(err error) {
	if a := s.at().actor.Load(); a != nil {
		a.Fail(err)
	}
}

// Hindered tells people what blocks a start of the server, if they can remove that while it waits: err is shown beside
// the server's state, on the screen, with --quiet too, and in `status`, until the server is ready or has failed. Nil
// takes it back. The same text is told once. It is for Run and Ready: before, and when the server is ready, it does
// nothing.
func (s *Server) Hindered(err error) {
	if a := s.at().actor.Load(); a != nil {
		a.Hindered(err)
	}
}

// Degraded tells people that the server is ready but lacks something, and what they can do: err is shown beside the
// server's state, on the screen, with --quiet too, in `status` and by /readyz, as long as the server is ready. It stays
// ready all the same: those that need it start, and /readyz says ok. Nil takes it back, and so does the end of Run. The
// same text is told once. It is for Run, Ready and what they have started; what comes before the server is ready is
// kept until then.
func (s *Server) Degraded(err error) {
	if a := s.at().actor.Load(); a != nil {
		a.Degraded(err)
	}
}

// Lost is an error if something that the server Keeps is gone: then it must not report anything as done. It costs one
// stat for each path. It is nil before the server is ready.
func (s *Server) Lost() error {
	a := s.at().actor.Load()
	if a == nil {
		return nil
	}
	return a.Lost()
}

// Ending returns a channel that is closed when the server is to end, before its context ends. If somebody wants the
// server to end, those that need it end in between, and it can help them to. When it fails, and in a process of its
// own, the context ends at once. It is for Build, Run and Ready. Each start has its own channel; nil outside of a run.
func (s *Server) Ending() <-chan struct{} {
	a := s.at().actor.Load()
	if a == nil {
		return nil
	}
	return a.Ending()
}

// Guard calls f, and turns a panic in it into an error; the stack is in the server's log. Run and Ready are called so.
// It is for goroutines that the server starts.
func (s *Server) Guard(f func() error) (err error) { return life.Guard(s.Logger(), f) }

// Log is the server's place in the logs. It is there when Prepare, Run and Ready are called.
func (s *Server) Log() *logging.Log { return s.at().log }

// Logger is the server's logger.
func (s *Server) Logger() *zap.Logger {
	if log := s.Log(); log != nil {
		return log.Zap()
	}
	return zap.NewNop()
}

// Slog is the server's logger, as one of the standard library's.
func (s *Server) Slog() *slog.Logger {
	if log := s.Log(); log != nil {
		return log.Slog()
	}
	return slog.New(slog.DiscardHandler)
}

// Logr is the server's logger, as one of logr's. It is in the context that Check, Prepare, Run and Ready get, too.
func (s *Server) Logr() logr.Logger {
	if log := s.Log(); log != nil {
		return log.Logr()
	}
	return logr.Discard()
}

// context is ctx with the server's logger in it, where code that logs with logr looks for it.
func (s *Server) context(ctx context.Context) context.Context { return logr.NewContext(ctx, s.Logr()) }
