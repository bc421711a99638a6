package child

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// process is one process of a child.
type process struct {
	cmd     *exec.Cmd
	control net.Conn
	orders  *json.Encoder
	mu      sync.Mutex        // guards orders
	ready   chan struct{}     // closed when it has become ready
	address string            // to be read when ready is closed
	failed  error             // the failure that it has reported; to be read when exited is closed
	code    int               // the exit code that failed asks for
	crash   []byte            // what the runtime said, or seems to have; to be read when exited is closed
	exited  chan struct{}     // closed when it has ended, and all that it wrote has been read
	err     error             // of cmd.Wait; to be read when exited is closed
	kills   crash.MemoryKills // before it was started
	killed  bool              // by this process
}

// start starts a process.
func (c *Child) start() (*process, error) {
	self, err := system.Executable()
	if err != nil {
		return nil, err
	}
	control, theirs, err := system.SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	lines, theirLines, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	defer theirLines.Close()
	text, theirText, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.Close(), lines.Close())
	}
	defer theirText.Close()
	plan, sockets, err := c.Plan()
	defer func() {
		for _, f := range sockets {
			f.Close()
		}
	}()
	cmd := exec.Command(self)
	// The list of processes then shows which server it is.
	cmd.Args = c.Args
	cmd.Env = append(os.Environ(), c.Variable+"="+c.Server)
	cmd.ExtraFiles = append([]*os.File{theirs, theirLines}, sockets...)
	cmd.Stdout, cmd.Stderr = theirText, theirText
	system.DieWithParent(cmd)
	p := &process{cmd: cmd, control: control, orders: json.NewEncoder(control), kills: crash.CountKills(),
		ready: make(chan struct{}), exited: make(chan struct{})}
	if err == nil {
		err = c.launch(p, lines, text)
	}
	if err != nil {
		return nil, errors.Join(err, control.Close(), lines.Close(), text.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.orders.Encode(plan); err != nil {
		return p, nil // it has ended already; run sees that
	}
	return p, nil
}

// lastWords is how long the output of a process is read after its end, if another process still holds it open.
const lastWords = 500 * time.Millisecond

// launch begins the process, and reads what comes from it until it has ended.
func (c *Child) launch(p *process, lines, text *os.File) error {
	began := make(chan error, 1)
	var read sync.WaitGroup
	read.Go(func() { defer lines.Close(); c.relay(lines) })
	read.Go(func() { defer text.Close(); c.hear(p, text) })
	read.Go(func() { c.listen(p) })
	go func() {
		// On Linux the child dies with the thread that has started it: the thread has to last as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		began <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		// What it wrote is there by now. This does not wait for another process that it has started, and that holds its
		// output open.
		overdue := time.AfterFunc(min(lastWords, c.GracePeriod/10), func() { _, _ = lines.Close(), text.Close() })
		defer overdue.Stop()
		read.Wait()
		close(p.exited)
	}()
	return <-began
}

func (p *process) order(o order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.orders.Encode(o) // it has ended, if this fails, and run sees that
}

// listen reads the reports of the process.
func (c *Child) listen(p *process) {
	for reports := json.NewDecoder(p.control); ; {
		var r Report
		if err := reports.Decode(&r); err != nil {
			return // it has ended
		}
		switch {
		case r.Ready:
			p.address = r.Address
			close(p.ready)
		case r.Failed != "":
			p.failed = errors.New(r.Failed)
			if p.code = r.Code; r.Permanent {
				p.failed = life.Permanent(p.failed)
			}
		case r.CloseSockets:
			c.CloseSockets()
			p.order(order{SocketsClosed: true})
		case r.Degraded != nil && *r.Degraded != "":
			c.Actor().Degraded(errors.New(*r.Degraded))
		case r.Degraded != nil:
			c.Actor().Degraded(nil)
		case r.Hindered != "":
			c.Actor().Hindered(errors.New(r.Hindered))
		default:
			c.Actor().Hindered(nil)
		}
	}
}

// result is why the process has ended.
func (p *process) result(exit func(code int, err error) error) error {
	if p.failed != nil && p.code != 0 {
		return exit(p.code, p.failed)
	}
	if p.failed != nil {
		return p.failed
	}
	if p.err == nil {
		return nil // whatever it has printed
	}
	if reason, _ := crash.Parse(p.crash); reason != "" {
		return errors.New(reason)
	}
	if !p.killed && p.err.Error() == "signal: killed" {
		if why := p.kills.Reason(); why != "" {
			return fmt.Errorf("its process has ended: %w; %s", p.err, why)
		}
	}
	return fmt.Errorf("its process has ended: %w", p.err)
}
