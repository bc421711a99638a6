package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// quitLimit is how long a process that has been told to print its stacks has for it.
const quitLimit = 20 * time.Second

// hang ends a test in which something has not come within patience, with the stacks of the process, and of those of its
// servers.
func (r *run) hang(what string) {
	r.t.Helper()
	// Go's runtime prints the stacks, which are on the screen. What a server's process prints, the run's own passes on.
	for _, s := range r.last.Servers {
		if s.PID == 0 || s.PID == r.cmd.Process.Pid {
			continue
		}
		deadline := time.Now().Add(quitLimit)
		for syscall.Kill(s.PID, syscall.SIGQUIT) == nil && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	_ = r.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-r.ended:
	case <-time.After(quitLimit):
	}
	r.t.Fatalf("%s: not within %v\n%s", what, patience, &r.screen)
}

// run is a process of faultyBinary that runs all three servers.
type run struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	screen screen
	ended  chan struct{}
	last   supervisor.Status // that was answered
}

// screen is what a process has printed so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newDir returns a data folder, with a path that is short enough for sockets.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "faulty")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start starts a run, and returns when all of its servers are ready.
func start(t *testing.T, dir string, args ...string) (*run, *supervisor.Status) {
	t.Helper()
	r := &run{t: t, dir: dir, ended: make(chan struct{})}
	r.cmd = exec.Command("hk", append([]string{"run", "--data-dir", dir}, args...)...)
	r.cmd.Stdout, r.cmd.Stderr = &r.screen, &r.screen
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(r.ended); _ = r.cmd.Wait() }()
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); <-r.ended })
	return r, r.until("all are ready", allReady)
}

func allReady(s *supervisor.Status) bool {
	for i := range s.Servers {
		if s.Servers[i].State != supervisor.Ready {
			return false
		}
	}
	return len(s.Servers) == 3
}

// ask sends a request to one of the sockets in the data folder.
func (r *run) ask(method, socket, path string) ([]byte, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(r.dir, socket))
		}}}
	request, err := http.NewRequest(method, "http://hk/", nil)
	if err != nil {
		return nil, err
	}
	request.URL.Path = path
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return nil, errors.New(answer.Status)
	}
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode == http.StatusAccepted {
		err = nil // the process may end before the answer does
	}
	return text, err
}

func (r *run) status() (*supervisor.Status, error) {
	text, err := r.ask(http.MethodGet, "hk.sock", "/v1/status")
	if err != nil {
		return nil, err
	}
	var s supervisor.Status
	return &s, json.Unmarshal(text, &s)
}

// until polls the status until it is as wanted.
func (r *run) until(what string, wanted func(*supervisor.Status) bool) *supervisor.Status {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s, err := r.status()
		if err == nil {
			r.last = *s
		}
		if err == nil && wanted(s) {
			return s
		}
		select {
		case <-r.ended:
			r.t.Fatalf("until %s: the process has ended with %v:\n%s", what, r.cmd.ProcessState, &r.screen)
		default:
		}
		if time.Now().After(deadline) {
			r.hang(fmt.Sprintf("%s: %+v (%v)", what, s, err))
		}
	}
}

// do has the server do something wrong.
func (r *run) do(fault string) {
	r.t.Helper()
	if _, err := r.ask(http.MethodPost, "do.sock", "/"+fault); err != nil {
		r.t.Fatalf("%v:\n%s", err, &r.screen)
	}
}

// end waits for the process to end, and returns its exit code.
func (r *run) end() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.hang("its end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// stop stops the process, which is to end in order and with an exit code.
func (r *run) stop(want int) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if code := r.end(); code != want {
		r.t.Errorf("exit code %d:\n%s", code, &r.screen)
	}
}

// serverIn returns what the status says of one server.
func serverIn(s *supervisor.Status, name string) *supervisor.ServerStatus {
	for i := range s.Servers {
		if s.Servers[i].Name == name {
			return &s.Servers[i]
		}
	}
	return &supervisor.ServerStatus{}
}
