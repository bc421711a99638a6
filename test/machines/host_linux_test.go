package machines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// briefly is how long tests look for what is not to happen. A busy machine may need longer to do what it should not;
// then a test misses it, and does not fail for that.
const briefly = 300 * time.Millisecond

// eventually waits until f has nothing to complain of.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(interval) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %v", what, patience, err)
		}
	}
}

// output is what a command prints that has to succeed.
func output(t *testing.T, c *Cmd) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", c.Args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// accepted serves one connection after the other, on the host.
func accepted(t *testing.T, h *Host) (address string, connections <-chan net.Conn) {
	t.Helper()
	l, err := h.Listen("tcp", h.IP+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	found := make(chan net.Conn, 10)
	go func() {
		defer close(found)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			found <- c
		}
	}()
	return l.Addr().String(), found
}

// dial connects from a host, as often as it takes.
func dial(t *testing.T, h *Host, address string) (c net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	eventually(t, h.Name+": a connection to "+address, func() (err error) {
		c, err = h.Dial(ctx, "tcp", address)
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// silent checks that nothing comes, not even the end.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(briefly)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes came (%v), want silence", n, err)
	}
}

// hears checks that the text comes.
func hears(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Errorf("%q came (%v), want %q", got, err, text)
	}
}

func says(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// Hosts reach each other, and one that is disconnected neither reaches nor is reached. What was on the way arrives when
// it is connected again.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	hosts := New(t, 3)
	address, connections := accepted(t, hosts[0])
	near := dial(t, hosts[1], address)
	far := <-connections
	if from, _, _ := net.SplitHostPort(far.RemoteAddr().String()); from != hosts[1].IP {
		t.Errorf("the connection is from %s, want %s", from, hosts[1].IP)
	}
	says(t, near, "before")
	hears(t, far, "before")

	hosts[1].Disconnect()
	says(t, near, "meanwhile")
	silent(t, far)
	ctx, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	if c, err := hosts[1].Dial(ctx, "tcp", address); err == nil {
		t.Errorf("the host is connected with %s", c.RemoteAddr())
	}
	_ = dial(t, hosts[2], address) // others are not concerned

	hosts[1].Connect()
	hears(t, far, "meanwhile")
	_ = dial(t, hosts[1], address)
}

// A host that is killed says nothing more, and nothing of it runs on. It keeps its folder until it loses it.
func TestKill(t *testing.T) {
	t.Parallel()
	hosts := New(t, 2)
	h := hosts[0]
	on := h.on.Load()
	address, connections := accepted(t, hosts[1])

	// One in the foreground, one in the background, and a daemon in namespaces of its own, as containers are.
	p := h.Start("sh", "-ec", "sleep 1h & setsid unshare --pid --fork --net sleep 1h & touch kept; sync; echo started; exec sleep 1h")
	p.Await("started\n")
	near := dial(t, h, address)
	far := <-connections
	eventually(t, "all processes", func() error {
		if found := on.processes(); len(found) < 5 { // with the one that keeps the namespaces, and unshare
			return fmt.Errorf("there are %v", found)
		}
		return nil
	})
	running := on.processes()

	h.Kill()
	silent(t, far)
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the end of a process: %v, want SIGKILL", err)
	}
	for _, pid := range running {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is there (%v)", pid, err)
		}
	}
	if err := h.Command("true").Run(); err == nil || !strings.Contains(err.Error(), "host-1 is off") {
		t.Errorf("a command: %v, want that the host is off", err)
	}

	h.Boot()
	_ = dial(t, h, address)
	if out := output(t, h.Command("ls", h.Dir)); out != "kept\ntmp" {
		t.Errorf("in its folder: %q", out)
	}
	h.LoseDisk()
	h.Boot()
	_ = dial(t, h, address)
	if out := output(t, h.Command("ls", h.Dir)); out != "tmp" {
		t.Errorf("in its new folder: %q", out)
	}
}

// What runs on a host finds a host.
func TestCommand(t *testing.T) {
	t.Parallel()
	hosts := New(t, 2)
	for _, h := range hosts {
		for _, test := range []struct{ command, want string }{
			{"hostname", h.Name},
			{"echo $HOME $TMPDIR; pwd", h.Dir + " " + h.Path("tmp") + "\n" + h.Dir},
			{"cat /proc/1/comm", "cat"},
			{"set -- /proc/[0-9]*; echo $#", "2"}, // the first, and the shell
		} {
			if out := output(t, h.Command("sh", "-ec", test.command)); out != test.want {
				t.Errorf("%s: %s: %q, want %q", h.Name, test.command, out, test.want)
			}
		}
		c := h.Command(self(t), "-test.run=^TestPart$")
		c.Env = append(c.Env, part+"=address")
		if out := output(t, c); !strings.Contains(out, "address: "+h.IP+"\n") {
			t.Errorf("the address that servers take: %s, want %s", out, h.IP)
		}
	}
	h := hosts[0]
	// An orphan is nobody's zombie.
	output(t, h.Command("sh", "-ec", "(sleep 0 & sleep 0 &)"))
	eventually(t, "the end of orphans", func() error {
		left, err := filepath.Glob(h.on.Load().path("root/proc/[0-9]*"))
		if err != nil || len(left) != 1 {
			return fmt.Errorf("there are %v (%v)", left, err)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	c := h.CommandContext(ctx, "sleep", "1h")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(); err == nil {
		t.Error("what was canceled went on to its end")
	}
}

// A process on a host gets signals, and how it ends is known.
func TestProcess(t *testing.T) {
	t.Parallel()
	h := New(t, 1)[0]
	p := h.Start("sh", "-c", `trap 'echo asked; exit 3' TERM; echo "ready as $$"; sleep 1h & wait`)
	p.Await("ready as ")
	select {
	case <-p.Done():
		t.Fatal("it has ended")
	default:
	}
	p.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("its end: %v, want exit code 3", err)
	}
	if !strings.HasSuffix(p.Output(), "asked\n") {
		t.Errorf("printed: %q", p.Output())
	}

	p = h.Start("sh", "-c", `echo "ready as $$"; exec sleep 1h`)
	p.Await("ready as ")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	_, there, _ := strings.Cut(p.Output(), "ready as ")
	if want := fmt.Sprintf("NSpid:\t%d\t%s", p.PID(), there); err != nil || !strings.Contains(string(status), want) {
		t.Errorf("want %q in (%v)\n%s", want, err, status)
	}
	p.Signal(syscall.SIGKILL)
	if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("its end: %v, want SIGKILL", err)
	}
}

// Of a thread that has entered a host, nobody is left: no other goroutine than the main one runs on the main thread.
func TestMainThreadIsKept(t *testing.T) {
	t.Parallel()
	const many = 64 // more than there are idle threads
	var here, all sync.WaitGroup
	here.Add(many)
	for range many {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here.Done()
			here.Wait()
			if unix.Gettid() == os.Getpid() {
				t.Error("the main thread runs other goroutines than the main one")
			}
		})
	}
	all.Wait()
}
