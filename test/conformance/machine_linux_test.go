package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/test/machines"
)

// patience is for what a machine does. It is no expectation of speed.
const patience = 5 * time.Minute

// machine is a host of namespaces, with pods. It is gone when the test has ended, and all that ran on it.
type machine struct {
	*machines.Host
	t    *testing.T
	logs string // folder for what its processes print
	pods string // their subnet
}

// newMachines makes two. Each reaches the other one's pods. There is no way out.
func newMachines(t *testing.T, logs string) (first, second *machine) {
	t.Helper()
	hosts := machines.NewNodes(t, 2)
	first = &machine{Host: hosts[0], t: t, logs: logs, pods: "10.85.1.0/24"}
	second = &machine{Host: hosts[1], t: t, logs: logs, pods: "10.85.2.0/24"}
	for m, other := range map[*machine]*machine{first: second, second: first} {
		m.do("ip", "route", "add", other.pods, "via", other.IP)
		m.do("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	}
	return first, second
}

// write writes a file in the machine's folder.
func (m *machine) write(text string, names ...string) string {
	m.t.Helper()
	path := m.Path(names...)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return path
}

// await waits until a question has no error for an answer.
func (m *machine) await(what string, ask func() error) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		switch err := ask(); {
		case err == nil:
			return
		case time.Now().After(deadline):
			m.t.Errorf("%s: %s: waited in vain for %v: %v", m.Name, what, patience, err)
			return
		}
	}
}

// command is one on the machine. If ctx ends, it is asked to end.
func (m *machine) command(ctx context.Context, name string, args ...string) *machines.Cmd {
	c := m.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	return c
}

// do runs a command on the machine, which has to succeed, and returns what it prints.
func (m *machine) do(name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(context.Background(), name, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *machine) try(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := m.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s %s: %w\n%s", m.Name, filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// process is one that goes on, on a machine. What it prints is kept.
type process struct {
	*machines.Cmd
	printed string // file
	done    chan struct{}
	err     error // of its end
}

// start starts a command on the machine. It is stopped when the test has ended.
func (m *machine) start(what, name string, args ...string) *process {
	m.t.Helper()
	p := &process{Cmd: m.command(context.Background(), name, args...), printed: filepath.Join(m.logs, m.Name+"-"+what), done: make(chan struct{})}
	file, err := os.Create(p.printed)
	if err != nil {
		m.t.Fatal(err)
	}
	p.Stdout, p.Stderr = file, file
	err = p.Start()
	if err := errors.Join(err, file.Close()); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.Wait()
	}()
	m.t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.done:
		case <-time.After(patience):
			m.t.Errorf("%s: %s does not stop; what it printed is in %s", m.Name, what, p.printed)
		}
	})
	return p
}

// until waits until a condition holds, as long as a process goes on that it depends on.
func (m *machine) until(p *process, what string, ask func() error) {
	m.t.Helper()
	m.await(what, func() error {
		select {
		case <-p.done:
			m.t.Fatalf("%s: %s: the process has ended: %v; what it printed is in %s", m.Name, what, p.err, p.printed)
		default:
		}
		return ask()
	})
	if m.t.Failed() {
		m.t.FailNow()
	}
}
