package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// child runs a server in a process of its own. Its methods run, ready and address take the place of the server's
// functions.
type child struct {
	hk     *HyperKube
	plan   *Plan
	s      *Server
	client http.Client // of what the child serves
	// A test keeps more of the grace period than lastStacks, and does not wait for the rest. Without them it is the
	// constant, and time.After.
	lastStacks time.Duration
	after      func(time.Duration) <-chan time.Time

	mu       sync.Mutex
	started  chan struct{} // closed, and replaced, when run has a new process
	process  *childProcess // nil while there is none
	used     time.Duration // CPU time of the processes that have ended
	location string
}

// run is the Run of the server: one process, from its start to its end.
func (c *child) run(ctx context.Context, s *Server, _ []string) error {
	p, err := c.start()
	if err != nil {
		return fmt.Errorf("its process cannot be started: %w", err)
	}
	c.mu.Lock()
	c.process = p
	close(c.started)
	c.started = make(chan struct{})
	c.mu.Unlock()
	c.tellLevel() // it may have changed since the process was told
	select {
	case <-p.exited:
	case <-ctx.Done():
		c.stop(p)
	}
	_ = p.control.Close() // both sides are done with it
	c.client.CloseIdleConnections()
	c.mu.Lock()
	c.process = nil
	c.used += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	c.mu.Unlock()
	if !c.plan.lost.Load() {
		system.RemoveUnix(childSocketPath(c.plan, c.s)) // a killed one leaves it
	}
	return p.result()
}

// lastStacks is how much of the grace period is kept, at most, for the stacks of a process that overstays, and to kill
// it.
const lastStacks = 2 * time.Second

// stop asks the process to end, and kills it shortly before the grace period is over.
func (c *child) stop(p *childProcess) {
	p.order(childOrder{Stop: true})
	period := grace(c.s)
	last, after := min(period/5, cmp.Or(c.lastStacks, lastStacks)), c.after
	if after == nil {
		after = time.After
	}
	select {
	case <-p.exited:
		return
	case <-after(period - last):
	}
	c.s.log.Release() // these lines are to be seen
	c.s.Logger().Error("did not stop in its grace period, and its process is killed; its log has the stacks of its goroutines",
		zap.Duration("grace period", period))
	c.s.Logger().Info("its goroutines", zap.String("stacks", c.stacks(last*3/4)))
	p.killed = true
	_ = p.cmd.Process.Kill() // it has ended, if this fails
	<-p.exited
}

// stacks asks the process for the stacks of its goroutines.
func (c *child) stacks(patience time.Duration) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := c.get(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// get asks what the process serves.
func (c *child) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.s.Name()+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the process of %s: %s", c.s.Name(), bytes.TrimSpace(text))
	}
	return text, err
}

// becomeReady is the Ready of the server.
func (c *child) becomeReady(ctx context.Context, _ *Server) error {
	for {
		c.mu.Lock()
		p, started := c.process, c.started
		c.mu.Unlock()
		if p == nil {
			select {
			case <-started:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-p.ready:
			c.mu.Lock()
			c.location = p.address
			c.mu.Unlock()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// address is the Address of the server.
func (c *child) address(*Server) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.location
}

// pid is the process's, or 0 if there is none.
func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.cmd.Process.Pid
}

// tellLevel tells the process how much to log.
func (c *child) tellLevel() {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p != nil {
		p.order(childOrder{Level: logging.FormatLevel(c.s.log.Level())})
	}
}

// describe is the plan for the process, and the sockets that it gets.
func (c *child) describe() (*childPlan, []*os.File, error) {
	level, vmodule := logging.FormatLevel(c.s.log.Level()), ""
	if c.s.VModuleFlag != "" && c.s.Given(c.s.VModuleFlag) {
		vmodule = c.s.Value(c.s.VModuleFlag)
	}
	plan := &childPlan{
		Server: c.s.Name(), Name: c.plan.Name, DataDir: text.RawString(c.plan.DataDir), Ephemeral: c.plan.Ephemeral, FreePorts: c.plan.FreePorts,
		CalledAs: text.RawString(c.hk.calledAs), Location: text.RawStrings(c.plan.location), Plain: text.RawString(c.plan.plain), Open: c.plan.open,
		LogLevel: level, VModule: vmodule,
	}
	for _, s := range c.plan.Servers {
		server := childServer{Name: s.Name(), Isolation: s.Isolation}
		for _, h := range s.history {
			server.Flags = append(server.Flags, [2]text.RawString{text.RawString(h.flag), text.RawString(h.value)})
		}
		for flag := range s.own {
			server.Given = append(server.Given, flag)
		}
		plan.Servers = append(plan.Servers, server)
	}
	var files []*os.File
	var err error
	plan.Sockets, files, err = c.s.sockets.share()
	return plan, files, err
}
