package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func (h etcdHome) revision(t *testing.T) (n int64) {
	t.Helper()
	h.with(t, func(ctx context.Context, c *clientv3.Client) error {
		answer, err := c.Get(ctx, "key")
		if err == nil {
			n = answer.Header.Revision
		}
		return err
	})
	return n
}

// However often a snapshot is restored, and whatever etcd does meanwhile, the revision never goes backwards.
func TestRestoreTwice(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "old", "new")
	p := h.etcd(t)
	for _, test := range []struct {
		name          string
		before, after func()
	}{
		{"while it runs", func() {}, func() {}},
		{"the same again", func() {}, func() {}},
		{"etcd is stopped", func() { h.must(t, "stop", "etcd", "--yes") }, func() { h.must(t, "start", "etcd") }},
		{"km is stopped", func() { p.stop(syscall.SIGTERM) }, func() { p = h.etcd(t) }},
		{"km was killed", func() { p.stop(syscall.SIGKILL) }, func() { p = h.etcd(t) }},
	} {
		h.put(t, "written")
		before := h.revision(t)
		test.before()
		r := h.km(t, "snapshot", "restore", files["old"], "--yes")
		if r.code != 0 || r.stderr != "" {
			t.Fatalf("%s: %+v", test.name, r)
		}
		test.after()
		// some of the last may be in the log only
		if got, after := h.get(t), h.revision(t); got != "old" || after < before+bump/2 {
			t.Errorf("%s: the revision was %d, and is %d; etcd has %q", test.name, before, after, got)
		}
	}
	p.stop(syscall.SIGTERM)

	// What is damaged can be replaced, too: it is told that its revision is not known.
	database := filepath.Join(h.dataDir("km"), "etcd", "member", "snap", "db")
	if err := os.WriteFile(database, bytes.Repeat([]byte("garbage!"), 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	r := h.km(t, "snapshot", "restore", files["new"], "--yes")
	if r.code != 0 || !strings.Contains(r.stderr, "warning: which revision the cluster has reached cannot be found out: ") {
		t.Errorf("%+v", r)
	}
	if got := h.value(t); got != "new" {
		t.Errorf("etcd has %q", got)
	}
}

// The state is saved and restored where the last run had it.
func TestSnapshotElsewhere(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "here", "last")
	elsewhere := filepath.Join(h.dir, "elsewhere", "e")
	flag := "--etcd.data-dir=" + elsewhere
	p := h.etcd(t, flag)
	h.put(t, "there")
	h.must(t, "snapshot", "restore", files["here"], "--yes")
	if got := h.get(t); got != "here" {
		t.Errorf("restored while it runs: %q", got)
	}
	h.put(t, "there")
	p.stop(syscall.SIGTERM)
	files["there"] = filepath.Join(h.dir, "there.db")
	h.save(t, files["there"])
	out := h.must(t, "snapshot", "restore", files["here"], "--yes")
	if !strings.Contains(out, "and the --etcd.data-dir or --etcd.config-file of before: the data is in "+elsewhere) {
		t.Errorf("km snapshot restore says %q", out)
	}
	p = h.etcd(t, flag)
	if got := h.get(t); got != "here" {
		t.Errorf("restored while it does not: %q", got)
	}
	p.stop(syscall.SIGTERM)
	// What is in the usual place was left alone, and is what counts after a run with it.
	if got := h.value(t); got != "last" {
		t.Errorf("in the usual place: %q", got)
	}
	h.must(t, "snapshot", "restore", files["there"], "--yes")
	if got := h.value(t); got != "there" {
		t.Errorf("saved while it does not run: %q", got)
	}
}

// Where a restore was killed between the renamings of a file system that cannot exchange two folders, etcd does not
// begin anew.
func TestRestoreKilledInSteps(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one")
	data := filepath.Join(h.dataDir("km"), "etcd")
	old := data + "-20260102-030405.old"
	if err := os.Rename(data, old); err != nil {
		t.Fatal(err)
	}
	want := "as a restore was killed in the middle: to go back to the state before it, mv " + old + " " + data
	for code, args := range map[int][]string{2: {"run", "etcd"}, 1: {"snapshot", "save", files["one"], "--force"}} {
		if r := h.km(t, args...); r.code != code || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if err := os.Rename(old, data); err != nil {
		t.Fatal(err)
	}
	if got := h.value(t); got != "one" {
		t.Errorf("etcd has %q", got)
	}
}
