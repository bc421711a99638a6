package child

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// Config is what a Child has to know.
type Config struct {
	// Args are those with which the binary is called, its name being the first one, and Variable is set in its
	// environment to the server's name.
	Args     []string
	Variable string
	// Server is the server's name, Log its log, and GracePeriod what it has to stop.
	Server      string
	Log         *logging.Log
	GracePeriod time.Duration
	// Socket is the path at which the process serves its usage and profiles.
	Socket string
	// Plan returns what the process is to run, to be sent as JSON, and copies of the sockets that it gets.
	Plan func() (plan any, sockets []*os.File, err error)
	// CloseSockets closes the sockets that the parent holds for the process.
	CloseSockets func()
	// Actor returns the server's actor.
	Actor func() *life.Actor
	// Record writes to the server's log file.
	Record func(zapcore.Entry, ...zap.Field)
	// Exit is an error that asks for an exit code.
	Exit func(code int, err error) error
	// LastStacks and After are for tests: they keep more of the grace period for the stacks of a process that
	// overstays, and do not wait for the rest. The defaults are at most two seconds, and time.After.
	LastStacks time.Duration
	After      func(time.Duration) <-chan time.Time
	// Gone reports whether the folder of the socket is gone: what is there now is somebody else's.
	Gone func() bool
}

// Child runs a server in a process of its own. Its methods Run, Ready and Address take the place of the server's
// functions.
type Child struct {
	Config
	client   http.Client // of what the process serves
	mu       sync.Mutex
	started  chan struct{} // closed, and replaced, when Run has a new process
	process  *process      // nil while there is none
	used     time.Duration // CPU time of the processes that have ended
	location string
}

// New returns a child that has no process yet.
func New(c Config) *Child {
	return &Child{Config: c, client: http.Client{Transport: system.UnixTransport(c.Socket)}, started: make(chan struct{})}
}

// Run is the Run of the server: one process, from its start to its end.
func (c *Child) Run(ctx context.Context) error {
	p, err := c.start()
	if err != nil {
		return fmt.Errorf("its process cannot be started: %w", err)
	}
	c.mu.Lock()
	c.process = p
	close(c.started)
	c.started = make(chan struct{})
	c.mu.Unlock()
	c.TellLevel() // it may have changed since the process was told
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
	if !c.Gone() {
		system.RemoveUnix(c.Socket) // a killed process leaves it
	}
	return p.result(c.Exit)
}

// lastStacks is how much of the grace period is kept, at most, for the stacks of a process that overstays, and to kill
// it.
const lastStacks = 2 * time.Second

// KilledAfter is after what part of its grace period a process that overstays is killed.
func KilledAfter(grace time.Duration) time.Duration { return grace - min(grace/5, lastStacks) }

// stop asks the process to end, and kills it shortly before the grace period is over.
func (c *Child) stop(p *process) {
	p.order(order{Stop: true})
	last, after := min(c.GracePeriod/5, cmp.Or(c.LastStacks, lastStacks)), c.After
	if after == nil {
		after = time.After
	}
	select {
	case <-p.exited:
		return
	case <-after(c.GracePeriod - last):
	}
	c.Log.Release() // people are to see these lines
	c.Log.Zap().Error("did not stop in its grace period, and its process is killed; its log has the stacks of its goroutines",
		zap.Duration("grace period", c.GracePeriod))
	c.Log.Zap().Info("its goroutines", zap.String("stacks", c.stacks(last*3/4)))
	p.killed = true
	_ = p.cmd.Process.Kill() // it has ended, if this fails
	<-p.exited
}

// stacks asks the process for the stacks of its goroutines.
func (c *Child) stacks(patience time.Duration) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := c.get(ctx, pprofPath+"goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// get asks what the process serves.
func (c *Child) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Server+path, nil)
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
		err = fmt.Errorf("the process of %s: %s", c.Server, bytes.TrimSpace(text))
	}
	return text, err
}

// Ready is the Ready of the server.
func (c *Child) Ready(ctx context.Context) error {
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

// Address is the Address of the server.
func (c *Child) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.location
}

// PID is the process's, or 0 if there is none.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.cmd.Process.Pid
}

// TellLevel tells the process how much to log.
func (c *Child) TellLevel() {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p != nil {
		p.order(order{Level: logging.FormatLevel(c.Log.Level())})
	}
}

// Usage adds to here, what the server uses up in this process, what its own process does.
func (c *Child) Usage(ctx context.Context, here admin.ServerUsage) admin.ServerUsage {
	c.mu.Lock()
	here.TotalCPUSeconds = c.used.Seconds()
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second) // it may be busy, or ending
	defer cancel()
	text, err := c.get(ctx, usagePath)
	var own admin.ServerUsage
	if err == nil && json.Unmarshal(text, &own) == nil {
		here.TotalCPUSeconds += own.CPUSeconds
		here.Goroutines += own.Goroutines
	}
	here.CPUSeconds += here.TotalCPUSeconds
	return here
}

// Profile takes a CPU profile of the process, of whole seconds.
func (c *Child) Profile(ctx context.Context, d time.Duration) ([]byte, error) {
	return c.get(ctx, profilePath+"?seconds="+strconv.Itoa(int(max(d, time.Second).Seconds())))
}

// Disconnect closes the connection to the process, if there is one: it ends then, as it does when this process dies.
func (c *Child) Disconnect() error {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.control.Close()
}
