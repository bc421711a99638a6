package machines

import (
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cmd is an exec.Cmd that runs on a host. Its process is the real one: signals to it arrive, and its state tells how it
// ended. One that is started has to be waited for, as ever.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command is exec.Command for the host. The environment is the tests' own, without what would lead km or its clients
// elsewhere; HOME and TMPDIR are the host's, and so is the folder in which the command runs.
func (h *Host) Command(name string, args ...string) *Cmd {
	return h.own(exec.Command(name, args...))
}

// CommandContext is exec.CommandContext for the host.
func (h *Host) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return h.own(exec.CommandContext(ctx, name, args...))
}

func (h *Host) own(c *exec.Cmd) *Cmd {
	c.Dir = h.Dir
	c.Env = slices.DeleteFunc(os.Environ(), func(set string) bool {
		return strings.HasPrefix(set, "KM_") || strings.HasPrefix(set, "KUBECONFIG=") || strings.HasPrefix(set, "XDG_")
	})
	c.Env = append(c.Env, "HOME="+h.Dir, "TMPDIR="+h.tmp())
	return &Cmd{c, h}
}

// Start is exec.Cmd's.
func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

// Run is exec.Cmd's.
func (c *Cmd) Run() error { return c.host.Do(c.Cmd.Run) }

// Output is exec.Cmd's.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.host.Do(func() (err error) {
		out, err = c.Cmd.Output()
		return err
	})
	return out, err
}

// CombinedOutput is exec.Cmd's.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.host.Do(func() (err error) {
		out, err = c.Cmd.CombinedOutput()
		return err
	})
	return out, err
}

// Process is one that goes on, on a host. Methods without an error fail the test, and are for its goroutine; the others
// are for any. A test that has failed logs what its processes printed.
type Process struct {
	t    testing.TB
	what string // host, program and arguments
	cmd  *Cmd
	out  *os.File // what it prints; no pipe, which the end of those that it leaves behind would have to be waited for
	done chan struct{}
	err  error // of its end, when done is closed
}

// Start starts a command on the host, and does not wait for anything. It is killed when the test has ended.
func (h *Host) Start(name string, args ...string) *Process {
	h.t.Helper()
	p := &Process{t: h.t, what: h.Name + ": " + strings.Join(append([]string{name}, args...), " "), cmd: h.Command(name, args...), done: make(chan struct{})}
	var err error
	if p.out, err = os.CreateTemp("", "km"); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = p.out.Close() })
	if err := os.Remove(p.out.Name()); err != nil { // it is there as long as somebody has it open
		h.t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		h.t.Fatalf("%s: %v", p.what, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already, if all went well
		_ = p.Wait()
		if h.t.Failed() {
			h.t.Logf("%s: %v\n%s", p.what, p.err, p.Output())
		}
	})
	return p
}

// PID is the process's number as the tests see it; on the host it is another one.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what it has printed so far, on standard output and standard error.
func (p *Process) Output() string {
	text, err := io.ReadAll(io.NewSectionReader(p.out, 0, math.MaxInt64)) // the process's own place in it stays
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends it a signal. It has to run.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v: %v", p.what, s, err)
	}
}

// Wait waits for its end, and returns what exec.Cmd.Wait does: nil for exit code 0, else an exec.ExitError.
func (p *Process) Wait() error {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s: it has not ended after %v", p.what, patience)
	}
	return p.err
}

// Await waits until it has printed the text. The test fails if it ends before.
func (p *Process) Await(text string) {
	p.t.Helper()
	ended := false
	for deadline := time.Now().Add(patience); !strings.Contains(p.Output(), text); {
		switch {
		case ended:
			p.t.Fatalf("%s: it has ended without %q", p.what, text)
		case time.Now().After(deadline):
			p.t.Fatalf("%s: it has not printed %q after %v", p.what, text, patience)
		}
		select {
		case <-p.done:
			ended = true // it may have printed it meanwhile
		case <-time.After(interval):
		}
	}
}
