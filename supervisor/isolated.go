package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// runIsolated is what a child does (isolation.go): it runs one server of its parent's plan.
func (hk *HyperKube) runIsolated(args []string) error {
	if err := os.Unsetenv(isolatedVariable); err != nil { // it is not for what this process starts
		return hk.report(err)
	}
	c, plan, err := connectParent()
	if err != nil || len(args) != 1 {
		return hk.wrongUsage(fmt.Errorf("`%s %s` is how `%[1]s run` calls itself for a server with --SERVER.isolation=process",
			hk.Name, isolatedCommand), nil)
	}
	err = c.run(hk, plan)
	if err != nil {
		r := childReport{Failed: err.Error(), Permanent: isPermanent(err)}
		if exit, ok := errors.AsType[*ExitError](err); ok {
			r.Code = exit.Code
		}
		c.report(r)
		return &ExitError{Code: 1} // the parent says why
	}
	return nil
}

// parent is the connection of a child to its parent.
type parent struct {
	conn    net.Conn
	orders  *json.Decoder
	mu      sync.Mutex // guards reports
	reports *json.Encoder
	closed  chan struct{} // has something when the parent has closed its sockets
}

// planLimit is how long a child waits for its plan, which its parent sends at once.
const planLimit = time.Minute

func connectParent() (*parent, *childPlan, error) {
	// Processes that the server starts get neither: this side would seem to live on in them.
	system.CloseOnExec(controlFD)
	system.CloseOnExec(logFD)
	f := os.NewFile(controlFD, "control")
	if f == nil {
		return nil, nil, errors.New("it was called by somebody else")
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, nil, errors.New("it was called by somebody else")
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	c := &parent{conn: conn, orders: json.NewDecoder(conn), reports: json.NewEncoder(conn), closed: make(chan struct{}, 1)}
	// Somebody else's connection may stay silent.
	if err := conn.SetReadDeadline(time.Now().Add(planLimit)); err != nil {
		return nil, nil, err
	}
	var plan childPlan
	if err := c.orders.Decode(&plan); err != nil {
		return nil, nil, err
	}
	return c, &plan, conn.SetReadDeadline(time.Time{})
}

func (c *parent) report(r childReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.reports.Encode(r) // the parent has died: obey ends this process
}

// run runs the server until the parent wants it to stop.
func (c *parent) run(hk *HyperKube, plan *childPlan) error {
	// When to stop is the parent's business, in the order of all servers, also if others send signals to each process,
	// as systemd does. They are not ignored: that would be inherited.
	system.CatchHangup(system.CatchStops())
	p, s, err := hk.adopt(plan)
	if err != nil {
		return err
	}
	s.parent = c
	level, err := logging.ParseLevel(plan.LogLevel)
	if err != nil {
		return err
	}
	// What is of no server in this process is the server's, too.
	p.logs = logging.New(logging.Config{Level: level, Files: true, Program: s.Name()})
	defer p.logs.Close()
	s.log = p.logs.Server(s.Name())
	s.log.Claim(s.Packages...)
	if err := s.log.SetVModule(plan.VModule); err != nil {
		return err
	}
	if err := s.log.Pipe(os.NewFile(logFD, "log")); err != nil {
		return err
	}
	p.logs.TakeDefaults()
	limitMemory(s.log)
	g := newGroup([]*Server{s})
	s.Restart = RestartNever // that is the parent's business
	s.GracePeriod = 24 * time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.obey(p, s, g, cancel)
	if err := hk.prepareIsolated(ctx, p, s); err != nil {
		return err
	}
	l, err := system.ListenUnix(childSocketPath(p, s))
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, childHandler()) }() // it ends with the process, and its parent removes the file
	go g.events.read(context.Background(), 0, func(e Event) {
		switch {
		case e.isDegradation():
			text := ""
			if e.Err != nil {
				text = e.Err.Error()
			}
			c.report(childReport{Degraded: &text})
		case e.To == Ready:
			c.report(childReport{Ready: true, Address: e.Address})
		case e.isHindrance() && e.Err != nil:
			c.report(childReport{Hindered: e.Err.Error()})
		case e.isHindrance():
			c.report(childReport{})
		}
	})
	err = g.run(make(chan os.Signal))
	if actor := g.actors[0]; err != nil && actor.err != nil {
		return actor.err // the parent names the server
	}
	return err
}

// obey does what the parent says. When the parent has died, so does this process.
func (c *parent) obey(p *Plan, s *Server, g *group, cancel func()) {
	for {
		var o childOrder
		if err := c.orders.Decode(&o); err != nil {
			if g.isOver() {
				return
			}
			p.logs.Flush()
			os.Exit(1)
		}
		switch {
		case o.Stop:
			cancel() // it may still be preparing
			g.close()
		case o.SocketsClosed:
			c.closed <- struct{}{}
		case o.Level != "":
			if level, err := logging.ParseLevel(o.Level); err == nil && level != s.log.Level() {
				s.log.SetLevel(level)
			}
		}
	}
}

// closeSockets has the parent close the sockets that it holds for this server, and waits until it has.
func (c *parent) closeSockets() {
	c.report(childReport{CloseSockets: true})
	<-c.closed
}

// adopt makes the parent's plan this process's.
func (hk *HyperKube) adopt(plan *childPlan) (*Plan, *Server, error) {
	hk.calledAs = string(plan.CalledAs)
	p := &Plan{hk: hk, Name: plan.Name, DataDir: string(plan.DataDir), Ephemeral: plan.Ephemeral, FreePorts: plan.FreePorts,
		location: text.Strings(plan.Location), plain: string(plan.Plain), open: plan.Open}
	for _, described := range plan.Servers {
		s, err := hk.FindServer(described.Name)
		if err != nil {
			return nil, nil, err
		}
		s.Isolation = described.Isolation
		for _, flag := range described.Given {
			s.given(flag)
		}
		for _, set := range described.Flags {
			if err := s.set(string(set[0]), string(set[1]), nil); err != nil {
				return nil, nil, fmt.Errorf("%s: --%s: %w", s.Name(), set[0], err)
			}
		}
		p.Servers = append(p.Servers, s)
	}
	s := p.Server(plan.Server)
	if s == nil {
		return nil, nil, fmt.Errorf("%s is not in its parent's plan", plan.Server)
	}
	return p, s, s.sockets.adopt(plan.Sockets)
}

// prepareIsolated does for one server what prepare does for all. The parent has done it, too; what it has made is
// there.
func (hk *HyperKube) prepareIsolated(ctx context.Context, p *Plan, s *Server) (err error) {
	if hk.Setup != nil {
		p.logs.Program().Do(func() { err = hk.Setup(p) })
		if err != nil {
			return err
		}
	}
	if s.Check != nil {
		s.log.Do(func() { err = s.Check(s.context(ctx), p, s) })
		if err != nil {
			return err
		}
	}
	if s.Listen != nil {
		if err := s.Listen(p, s); err != nil {
			return err
		}
	}
	// What servers prepare may be for those that need them.
	wanted := p.needsOf(s)
	for _, other := range p.Servers {
		if other.Prepare == nil || !slices.Contains(wanted, other) {
			continue
		}
		if other != s { // it has no log here, but may log
			other.log = s.log
		}
		s.log.Do(func() { err = other.Prepare(s.context(ctx), p, other) })
		if other != s {
			other.log = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needsOf are the server and those that it needs, and that these need.
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

// childHandler is what a child serves to its parent.
func childHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /v1/usage", func(w http.ResponseWriter, _ *http.Request) { answer(w, ownUsage()) })
	return mux
}
