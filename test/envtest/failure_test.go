package envtest

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// kept is the folder for what remains of tests that failed, a folder for each: output, stacks.
var kept = filepath.Join("..", "..", "bin", "failed", "envtest")

// keep keeps a text of a test that failed, and returns where.
func keep(t *testing.T, name, text string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(kept, t.Name(), name))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
	return file
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// show logs the last lines that a process has printed, and keeps all of them.
func (o *output) show(t *testing.T, name string) {
	t.Helper()
	const shown = 20
	lines := strings.SplitAfter(o.String(), "\n")
	end := strings.Join(lines[max(0, len(lines)-shown-1):], "")
	t.Logf("%s; all of it is in %s\n%s", name, keep(t, name, o.String()), end)
}

// observe collects what a control plane's processes print. A failure shows it, and a hang has them print their stacks.
func observe(t *testing.T, plane *envtest.ControlPlane) {
	t.Helper()
	etcd, apiserver := new(output), new(output)
	if plane.Etcd == nil {
		plane.Etcd = &envtest.Etcd{}
	}
	plane.Etcd.Err = etcd
	plane.GetAPIServer().Err = apiserver
	remember(t, func() []int { return append(processesOf(plane.APIServer.CertDir), processesOf(plane.Etcd.DataDir)...) })
	t.Cleanup(func() {
		if t.Failed() {
			etcd.show(t, "etcd")
			apiserver.show(t, "kube-apiserver")
		}
	})
}

// running finds the processes of tests, by the name of the test without its subtests.
var running struct {
	sync.Mutex
	of map[string][]func() []int
}

func remember(t *testing.T, find func() []int) {
	running.Lock()
	defer running.Unlock()
	if running.of == nil {
		running.of = map[string][]func() []int{}
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	running.of[name] = append(running.of[name], find)
}

// quitLimit is how long processes that have been told to print their stacks have for it.
const quitLimit = 20 * time.Second

// hang ends a test in which something has not come within patience. It keeps the stacks of all who may be what is
// waited for: the test's, and those of its processes, which are among what they have printed.
func hang(t *testing.T, what string) {
	t.Helper()
	var own bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&own, 2); err != nil {
		t.Error(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	running.Lock()
	all := running.of[name]
	running.Unlock()
	// Upstream's Start begins anew four times when a process has ended.
	quiet, deadline := 0, time.Now().Add(quitLimit)
	for ; quiet < 5 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		quiet++
		for _, find := range all {
			for _, pid := range find() {
				quiet = 0
				_ = syscall.Kill(pid, syscall.SIGQUIT) // it may have ended
			}
		}
	}
	t.Fatalf("%s: not within %v\nstacks of the tests: %s", what, patience, keep(t, "tests.stacks", own.String()))
}

// await waits until the channel is closed. What closes it must have been started before.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		hang(t, what)
	}
}

// within runs f, which may take as long as patience.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = f()
	}()
	await(t, what, done)
	return err
}
