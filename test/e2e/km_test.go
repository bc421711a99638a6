// Package e2e tests the built binary from the outside: real processes, real clients. KM names the binary; without it,
// it is bin/km of this checkout, which `make build` makes.
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
	"regexp"
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

// errHang says that something has not happened within patience.
var errHang = fmt.Errorf("not within %v", patience)

// wait blocks until the output contains text, or done is closed, but no longer than patience; then it returns errHang.
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
			return errHang
		}
	}
}

// process is a km that runs.
type process struct {
	t      testing.TB
	home   home
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	done   chan struct{}
	code   int // exit code, when done is closed; -1 after a signal
}

// home is a folder for a km's state: HOME, and with it the data folder, are below it.
type home struct {
	dir string
	tmp string // TMPDIR; empty: this process's
	// on calls a function that starts commands, elsewhere than here; nil: here.
	on func(start func() error) error
}

// call calls a function that starts commands, where they are to run.
func (h home) call(start func() error) error {
	if h.on == nil {
		return start()
	}
	return h.on(start)
}

// newHome returns one that is removed with the test. When the test has failed, it says why, as far as a km has.
func newHome(t testing.TB) home { return homeIn(t, t.TempDir()) }

// homeIn is newHome for a folder that somebody else removes.
func homeIn(t testing.TB, dir string) home {
	h := home{dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tell(t, dir))
		}
	})
	return h
}

// keepLogs is a flag for a run whose data folder is removed with it: its logs stay where a failure is told from.
func (h home) keepLogs() string { return "--log-dir=" + filepath.Join(h.dir, "kept", "logs") }

func (h home) dataDir(name string) string {
	return filepath.Join(h.dir, ".local", "state", "km", name)
}

// env is the environment of a newcomer: nothing is set that changes what km or kubectl does. Only GOMAXPROCS is that of
// the tests, if they have one.
func (h home) env() []string {
	tmp := h.tmp
	if tmp == "" {
		tmp = os.TempDir()
	}
	env := []string{"HOME=" + h.dir, "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "TMPDIR=" + tmp}
	if cores, ok := os.LookupEnv("GOMAXPROCS"); ok {
		env = append(env, "GOMAXPROCS="+cores)
	}
	return env
}

// start starts the binary and does not wait for anything.
func (h home) start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return h.startWith(t, nil, name, args...)
}

// startWith is start, with changes to the command.
func (h home) startWith(t testing.TB, change func(*exec.Cmd), name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, home: h, cmd: exec.Command(name, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	p.cmd.Env = h.env()
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if change != nil {
		change(p.cmd)
	}
	if err := h.call(p.cmd.Start); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code says it
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	forget := remember(p)
	t.Cleanup(func() {
		defer forget()
		_ = p.cmd.Process.Kill() // it has ended already, if all went well
		await(t, fmt.Sprintf("the end of process %d, which was killed", p.cmd.Process.Pid), p.done)
		if t.Failed() {
			t.Logf("km %s\nstandard output:\n%s\nstandard error:\n%s", strings.Join(args, " "),
				p.printed("stdout", p.stdout), p.printed("stderr", p.stderr))
			for _, dir := range p.dataElsewhere(h) {
				t.Log(tell(t, dir))
			}
		}
	})
	return p
}

// dataElsewhere are data folders that are not below its home.
func (p *process) dataElsewhere(h home) (found []string) {
	if m := regexp.MustCompile(`in a temporary folder, (\S+)`).FindStringSubmatch(p.stdout.String()); m != nil {
		found = append(found, m[1]) // it is there if km was killed
	}
	for _, arg := range p.cmd.Args {
		if dir, ok := strings.CutPrefix(arg, "--data-dir="); ok && !strings.HasPrefix(dir, h.dir) {
			found = append(found, dir)
		}
	}
	return found
}

// printed is the end of what a process has printed: as much as somebody may want to read. All of it is in a file.
func (p *process) printed(name string, o *output) string {
	text := o.String()
	said, _, _ := strings.Cut(text, "SIGQUIT: quit\n") // the stacks of one that hangs follow
	if shown := tail(said); shown != text {
		return "all of it is in " + keep(p.t, fmt.Sprintf("%d.%s", p.cmd.Process.Pid, name), text) + "\n" + shown
	}
	return text
}

// tail is the end of a text: as much as somebody may want to read.
func tail(text string) string {
	const enough = 8 << 10
	if len(text) <= enough {
		return text
	}
	return "…" + text[len(text)-enough:]
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
	p.await(p.stdout, "km: ready after")
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
	await(p.t, "the end of km", p.done)
	return p.code
}

// config is a client's configuration for the cluster of that name.
func (h home) config(t testing.TB, name string) *rest.Config {
	t.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", filepath.Join(h.dataDir(name), "kubeconfig", "admin.conf"))
	if err != nil {
		t.Fatal(err)
	}
	c.QPS = -1 // client-go's own limit is five requests a second
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
	return h.doWith(t, nil, name, args...)
}

// doWith is do, with changes to the command.
func (h home) doWith(t testing.TB, change func(*exec.Cmd), name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = h.env()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = patience // for a child that has its output and does not end with it
	cmd.Cancel = func() error {
		cmd.WaitDelay = quitLimit
		return quit(cmd.Process)
	}
	if change != nil {
		change(cmd)
	}
	err := h.call(cmd.Run)
	command := name + " " + strings.Join(args, " ")
	if ctx.Err() != nil {
		t.Logf("%s: %s", command, keep(t, "command.stderr", stderr.String()))
		hang(t, "the end of "+command)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
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
