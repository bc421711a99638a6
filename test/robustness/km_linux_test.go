package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// readyLine is what it says when it is ready.
const readyLine = "km: ready after"

// process is a km that runs.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it says that it is
	done  chan struct{} // closed when it has ended
	code  int           // its exit code then; -1 after a signal

	mu   sync.Mutex
	text bytes.Buffer
}

// Write collects what it prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	select {
	case <-p.ready:
	default:
		if bytes.Contains(p.text.Bytes(), []byte(readyLine)) {
			close(p.ready)
		}
	}
	return len(b), nil
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends it at once, and waits until it has ended.
func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it has ended already, otherwise
	return await(context.Background(), "the end of km after kill -9", p.done)
}

// halt stops the process (SIGSTOP), and waits until each of its threads is in one of the states: T is stopped, and D
// within the kernel, on its way there.
func (p *process) halt(ctx context.Context, states string) error {
	pid := p.cmd.Process.Pid
	if err := signal(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return poll(ctx, "km is halted", func(context.Context) (bool, error) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return false, errors.Join(err, errors.New("km has no threads"))
		}
		for _, file := range threads {
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // it has just ended
			}
			if err != nil {
				return false, err
			}
			// pid (name) state …; the name may have anything in it.
			state := strings.TrimSpace(string(text[bytes.LastIndexByte(text, ')')+1:]))
			if !strings.Contains(states+"ZX", state[:1]) { // or it is ending
				return false, nil
			}
		}
		return true, nil
	})
}

// home is a folder for a km's state: HOME, and with it the data folder, are below it.
type home string

func (h home) dataDir() string { return filepath.Join(string(h), ".local", "state", "km", "km") }

// env has nothing that changes what km does. How many cores Go uses is what it is for the tests.
func (h home) env() []string {
	env := []string{"HOME=" + string(h), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	if cores, ok := os.LookupEnv("GOMAXPROCS"); ok {
		env = append(env, "GOMAXPROCS="+cores)
	}
	return env
}

// start starts `km run` on free ports, and does not wait for anything.
func (h home) start(args ...string) (*process, error) {
	p := &process{
		cmd:   exec.Command(binary, append([]string{"run", "--free-ports"}, args...)...),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	p.cmd.Env = h.env()
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// The data folder's file system is unmounted, and nothing of it is in use.
	p.cmd.Dir = "/"
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code says it
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

// km runs the binary to its end.
func (h home) km(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = h.env(), "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) } // it prints its stacks
	cmd.WaitDelay = quitLimit
	if err := cmd.Run(); err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			err = errors.Join(err, errHang)
		}
		return "", fmt.Errorf("km %s: %w\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// server is what `km status` says of one.
type server struct {
	Name  string `json:"name"`
	State string `json:"state"`
	PID   int    `json:"pid"`
}

func (h home) server(ctx context.Context, name string) (server, error) {
	text, err := h.km(ctx, "status", "-o", "json")
	if err != nil {
		return server{}, err
	}
	var status struct {
		Servers []server `json:"servers"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return server{}, err
	}
	for _, s := range status.Servers {
		if s.Name == name {
			return s, nil
		}
	}
	return server{}, fmt.Errorf("km does not run %s", name)
}

// config is a client's configuration. Each has connections of its own.
func (h home) config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(h.dataDir(), "kubeconfig", "admin.conf"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.Dial = dial
	return config, nil
}

// poll asks again until it is so, or patience has ended.
func poll(ctx context.Context, what string, f func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		ok, err := f(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: %w", what, errHang), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// signal sends one to a process of km's.
func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("%v to process %d: %w", s, pid, err)
	}
	return nil
}
