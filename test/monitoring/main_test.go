package main

import (
	"bufio"
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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// binary is the one that is tested: that which PROM names, or one that is built for the tests.
var binary string

func TestMain(m *testing.M) {
	code, err := test(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func test(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "prom-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	// What else may say what prom is to do.
	named := os.Getenv("PROM")
	for _, set := range os.Environ() {
		if name, _, _ := strings.Cut(set, "="); strings.HasPrefix(name, "PROM") {
			if err := os.Unsetenv(name); err != nil {
				return 0, err
			}
		}
	}
	if named != "" {
		binary, err = filepath.Abs(named)
		return m.Run(), err
	}
	binary = filepath.Join(dir, "prom")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// stack is a run of all servers.
type stack struct {
	t       *testing.T
	dir     string // the data folder
	process *exec.Cmd
	errors  *bytes.Buffer // standard error, when it has ended
	ready   chan struct{} // closed when all servers have been ready
	ended   chan struct{}

	mu     sync.Mutex
	output []string // lines of standard output
}

// start runs all servers, at free ports, and waits until they are ready.
func start(t *testing.T, args ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: filepath.Join(t.TempDir(), "state"), errors: new(bytes.Buffer), ready: make(chan struct{}), ended: make(chan struct{})}
	s.process = exec.Command(binary, append([]string{"run", "--free-ports", "--data-dir=" + s.dir}, args...)...)
	s.process.Stderr = s.errors
	out, err := s.process.StdoutPipe()
	if err == nil {
		err = s.process.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go s.read(out)
	t.Cleanup(func() {
		_ = s.process.Process.Kill() // it may have ended
		<-s.ended
		if t.Failed() {
			t.Logf("prom run:\n%s\n%s", strings.Join(s.lines(), "\n"), s.errors)
			logs, _ := exec.Command(binary, "logs", "--data-dir="+s.dir).CombinedOutput()
			t.Logf("prom logs:\n%s", logs)
		}
	})
	select {
	case <-s.ready:
	case <-s.ended:
		t.Fatal("it has ended")
	case <-time.After(patience):
		t.Fatal("it is not ready")
	}
	return s
}

func (s *stack) read(out io.Reader) {
	defer close(s.ended)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.mu.Lock()
		s.output = append(s.output, lines.Text())
		s.mu.Unlock()
		if strings.HasPrefix(lines.Text(), "prom: ready after ") {
			close(s.ready)
		}
	}
	_ = s.process.Wait() // ProcessState has the code
}

func (s *stack) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.output...)
}

// stop ends the run as Ctrl-C does, and returns its exit code.
func (s *stack) stop() int {
	s.t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("it does not stop")
	}
	return s.process.ProcessState.ExitCode()
}

// run calls a command of the binary about this run, and returns what it prints.
func (s *stack) run(args ...string) (string, error) {
	out, err := exec.Command(binary, append(args, "--data-dir="+s.dir)...).CombinedOutput()
	return string(out), err
}

// must is run, for a command that is to succeed.
func (s *stack) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("prom %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// servers are what `prom status` says of them.
func (s *stack) servers() map[string]supervisor.ServerStatus {
	s.t.Helper()
	var status supervisor.Status
	if err := json.Unmarshal([]byte(s.must("status", "-o", "json")), &status); err != nil {
		s.t.Fatal(err)
	}
	servers := map[string]supervisor.ServerStatus{}
	for _, server := range status.Servers {
		servers[server.Name] = server
	}
	return servers
}

// events are what has happened so far.
func (s *stack) events() (events []supervisor.EventLine) {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, "prom.sock"))
	}}}
	answer, err := client.Get("http://prom/v1/events?follow=false")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := json.NewDecoder(answer.Body); lines.More(); {
		var e supervisor.EventLine
		if err := lines.Decode(&e); err != nil {
			s.t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// get reads JSON that a server serves.
func (s *stack) get(server, path string, into any) error {
	s.t.Helper()
	answer, err := http.Get(s.servers()[server].Address + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return errors.Join(err, json.Unmarshal(text, into))
}

// eventually polls until f returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
