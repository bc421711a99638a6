// Package e2e tests the built binary from the outside: real processes, real clients. KM names the binary; without it, it is
// bin/km of this checkout, which `make build` makes.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// patient is patience for kubectl.
var patient = "--timeout=" + patience.String()

var binary string

func TestMain(m *testing.M) {
	binary = os.Getenv("KM")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "km")
	}
	var err error
	if binary, err = filepath.Abs(binary); err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "no binary to test: %v; run `make build`, or name one with KM\n", err)
		os.Exit(1)
	}
	// Whoever has called this may ignore it (nohup), and km would, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// output collects what a process prints, and lets a test wait for it.
type output struct {
	mu     sync.Mutex
	text   bytes.Buffer
	change chan struct{}
}

func newOutput() *output { return &output{change: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.change)
	o.change = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// forget drops what has been printed so far.
func (o *output) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// wait blocks until the output contains text, or done is closed.
func (o *output) wait(text string, done <-chan struct{}) error {
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		found, change := bytes.Contains(o.text.Bytes(), []byte(text)), o.change
		o.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-change:
		case <-done:
			if strings.Contains(o.String(), text) {
				return nil
			}
			return errors.New("the process ended before")
		case <-deadline:
			return fmt.Errorf("not seen within %v", patience)
		}
	}
}

// process is a km that runs.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	done   chan struct{}
	code   int // exit code, when done is closed; -1 after a signal
}

// home is a folder for a km's state: HOME, and with it the data folder, are below it.
type home string

func newHome(t testing.TB) home { return home(t.TempDir()) }

func (h home) dataDir(name string) string {
	return filepath.Join(string(h), ".local", "state", "km", name)
}

// env is the environment of a newcomer: nothing set that changes what km or kubectl does.
func (h home) env() []string {
	return []string{"HOME=" + string(h), "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}

// start starts the binary and does not wait for anything.
func (h home) start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	p.cmd.Env = h.env()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code says it
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already, if all went well
		<-p.done
		if t.Failed() {
			t.Logf("km %s\nstandard output:\n%s\nstandard error:\n%s", strings.Join(args, " "), end(p.stdout), end(p.stderr))
		}
	})
	return p
}

// end is the end of what a process has printed: as much as somebody may want to read.
func end(o *output) string {
	const enough = 8 << 10
	text := o.String()
	if len(text) > enough {
		text = "…" + text[len(text)-enough:]
	}
	return text
}

// run starts `km run` on free ports and waits until it is ready.
func (h home) run(t testing.TB, args ...string) *process {
	t.Helper()
	p := h.start(t, binary, append([]string{"run", "--free-ports"}, args...)...)
	p.waitReady()
	return p
}

func (p *process) waitReady() {
	p.t.Helper()
	if err := p.stdout.wait("km: ready after", p.done); err != nil {
		p.t.Fatalf("km did not become ready: %v", err)
	}
}

// stop sends the signal and returns the exit code.
func (p *process) stop(signal syscall.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait returns the exit code of a process that ends by itself.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("km did not end within %v", patience)
	}
	return p.code
}

// config is a client's configuration for the cluster of that name.
func (h home) config(t testing.TB, name string) *rest.Config {
	t.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", filepath.Join(h.dataDir(name), "kubeconfig", "admin.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// result is what a command printed, and how it ended.
type result struct {
	code           int
	stdout, stderr string
}

// do runs a command to its end.
func (h home) do(t testing.TB, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = h.env()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// km runs the binary to its end.
func (h home) km(t testing.TB, args ...string) result {
	t.Helper()
	return h.do(t, binary, args...)
}

// must is the output of a command that is expected to succeed.
func (h home) must(t testing.TB, args ...string) string {
	t.Helper()
	r := h.km(t, args...)
	if r.code != 0 {
		t.Fatalf("km %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// lines are the lines of a text without blank ones.
func lines(text string) []string {
	var found []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if strings.TrimSpace(s.Text()) != "" {
			found = append(found, s.Text())
		}
	}
	return found
}
