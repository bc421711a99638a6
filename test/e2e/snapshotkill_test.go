package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leftovers are the folders beside etcd's data.
func (h etcdHome) leftovers(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(h.dataDir("km"), "etcd?*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool { info, err := os.Stat(path); return err == nil && !info.IsDir() })
}

// asides are the folders with what was there before a restore; their names have the time.
func (h etcdHome) asides(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(h.leftovers(t), func(path string) bool { return !strings.HasPrefix(filepath.Base(path), "etcd-2") })
}

// removeAsides removes them, as they are big.
func (h etcdHome) removeAsides(t *testing.T) {
	t.Helper()
	for _, path := range h.asides(t) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A restore that is killed at any moment leaves what was there before, or what was to be there, and is not in the way
// of the next one.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	const times = 12
	h, files := newEtcdHome(t, "one", "two")
	began := time.Now()
	h.must(t, "snapshot", "restore", files["one"], "--yes")
	whole := time.Since(began)
	h.removeAsides(t)
	now := "one"
	other := map[string]string{"one": "two", "two": "one"}
	random := rand.New(rand.NewPCG(uint64(began.UnixNano()), 0))
	outcomes := map[string]int{}
	for n := range times {
		moment := time.Duration(random.Int64N(int64(whole)))
		next := other[now]
		p := h.start(t, binary, "snapshot", "restore", files[next], "--yes")
		if n%2 == 0 {
			p.within(moment)
		} else { // when folders change their names
			p.endedOr(func() bool { return len(h.asides(t)) > 0 })
		}
		code := p.end(syscall.SIGKILL)
		if code != -1 && code != 0 {
			t.Errorf("exit code %d, want -1 or 0: %s", code, p.stderr)
		}
		got := h.value(t)
		switch {
		case got != now && got != next:
			t.Fatalf("killed after %v of %v (exit code %d), etcd has %q; left are %v", moment, whole, code, got, h.leftovers(t))
		case code == 0 && got != next:
			t.Errorf("it has ended, and etcd has %q", got)
		}
		outcomes[fmt.Sprintf("exit code %d, restored: %v", code, got == next)]++
		now = got
		h.removeAsides(t)
	}
	t.Log(outcomes)
	h.must(t, "snapshot", "restore", files[other[now]], "--yes")
	if got := h.value(t); got != other[now] {
		t.Errorf("restored after all that: %q", got)
	}
	if h.staged(t) {
		t.Errorf("left: %v", h.leftovers(t))
	}
}

// staged reports whether there is data that is to take the place of the other.
func (h etcdHome) staged(t *testing.T) bool {
	t.Helper()
	return slices.ContainsFunc(h.leftovers(t), func(path string) bool { return strings.HasSuffix(path, ".restoring") })
}

// within waits so long, and reports whether the process has ended before.
func (p *process) within(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// endedOr waits until it is so, which may not last, or the process has ended before.
func (p *process) endedOr(so func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !so() && !p.within(time.Millisecond); {
		if time.Now().After(deadline) {
			hang(p.t, "the moment to end it")
		}
	}
}

// end is stop for a process that may have ended already.
func (p *process) end(signal syscall.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.wait()
}

// A restore in a run that is interrupted or killed leaves one state or the other, and after an interruption etcd runs.
func TestRestoreInRunInterrupted(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one", "two")
	p := h.etcd(t)
	other := map[string]string{"one": "two", "two": "one"}
	began := time.Now()
	h.must(t, "snapshot", "restore", files["one"], "--yes")
	whole := time.Since(began)
	now := "one"
	random := rand.New(rand.NewPCG(uint64(began.UnixNano()), 0))
	for n := range 8 {
		signal := []syscall.Signal{syscall.SIGINT, syscall.SIGKILL}[n%2]
		next := other[now]
		stops := func() int { return strings.Count(p.stdout.String(), "stopping") }
		before := stops()
		r := h.start(t, binary, "snapshot", "restore", files[next], "--yes")
		if n < 4 {
			r.within(time.Duration(random.Int64N(int64(whole))))
		} else { // when etcd is away for it
			r.endedOr(func() bool { return stops() > before })
		}
		code := r.end(signal)
		if signal == syscall.SIGKILL {
			h.answered(t) // it may have asked for a stop of etcd, which comes before this start
			h.must(t, "start", "etcd")
		}
		h.must(t, "status", "--wait=ready", patient)
		got := h.get(t)
		done := strings.Contains(r.stdout.String(), "restored ")
		if got != now && got != next || code == 0 && got != next || signal == syscall.SIGINT && done != (got == next) {
			t.Fatalf("%v: exit code %d, and etcd has %q:\n%s%s", signal, code, got, r.stdout, r.stderr)
		}
		t.Logf("%v: exit code %d, restored: %v, %s", signal, code, got == next, r.stderr)
		now = got
		h.removeAsides(t)
	}
	p.stop(syscall.SIGTERM)
}

// answered waits until km has answered all that it was asked by commands that have been killed.
func (h home) answered(t *testing.T) {
	t.Helper()
	socket := filepath.Join(h.dataDir("km"), "km.sock")
	eventually(t, "the answers to who has been killed", func() bool {
		text, err := os.ReadFile("/proc/net/unix")
		// the one that listens; elsewhere it cannot be seen
		return err != nil || strings.Count(string(text), " "+socket+"\n") == 1
	})
}

// Of two restores at once, one is done, or one after the other; a save beside them has one state or the other.
func TestTwoRestores(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one", "two")
	race := func() {
		t.Helper()
		file := filepath.Join(t.TempDir(), "saved.db")
		save := h.start(t, binary, "snapshot", "save", file)
		var restores []*process
		for range 3 {
			restores = append(restores, h.start(t, binary, "snapshot", "restore", files["one"], "--yes"))
		}
		restored := 0
		for _, p := range restores {
			code := p.wait()
			if code == 0 {
				restored++
			} else if text := p.stderr.String(); !strings.Contains(text, "in use by process ") && !strings.Contains(text, "in use by another km") && !strings.Contains(text, "another restore goes on") {
				t.Errorf("exit code %d: %s", code, text)
			}
		}
		if code := save.wait(); code == 0 {
			h.must(t, "snapshot", "restore", file, "--name=copy", "--yes")
		} else if _, err := os.Stat(file); err == nil {
			t.Errorf("save has failed, and there is a file: %s", save.stderr)
		}
		t.Logf("%d restored; save: %s%s", restored, save.stdout, save.stderr)
	}
	race()
	p := h.etcd(t)
	race()
	if s := h.server(t, "etcd"); s.State != "ready" {
		t.Fatalf("etcd is %s after the restores", s.State)
	}
	h.must(t, "snapshot", "restore", files["one"], "--yes")
	if got := h.get(t); got != "one" {
		t.Errorf("etcd has %q", got)
	}
	p.stop(syscall.SIGTERM)
}

// After a reset km begins anew.
func TestReset(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one")
	p := h.etcd(t)
	if r := h.km(t, "reset", "--yes"); r.code != 1 || !strings.Contains(r.stderr, fmt.Sprintf("in use by process %d", p.cmd.Process.Pid)) {
		t.Errorf("while it runs: %+v", r)
	}
	p.stop(syscall.SIGKILL)
	h.must(t, "reset", "--yes")
	if _, err := os.Stat(h.dataDir("km")); !os.IsNotExist(err) {
		t.Errorf("it is still there (%v)", err)
	}
	if got := h.value(t); got != "" {
		t.Errorf("a new etcd has %q", got)
	}
	h.must(t, "reset", "-y")
	h.must(t, "snapshot", "restore", files["one"])
	if got := h.value(t); got != "one" {
		t.Errorf("restored after a reset: %q", got)
	}
}
