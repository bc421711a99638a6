package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Where etcd's log is lost, km says so at once, and what it says to type works: a snapshot is restored, and what was
// there is kept.
func TestLostLog(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one", "two")
	member := filepath.Join(h.dataDir("km"), "etcd", "member")
	if err := os.RemoveAll(filepath.Join(member, "wal")); err != nil {
		t.Fatal(err)
	}
	p := h.start(t, binary, "run", "etcd", "--free-ports")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	text := p.stderr.String()
	for _, want := range []string{"Error: etcd failed: etcd's data is damaged: its log, ", " is missing beside the database", "`km snapshot restore FILE` goes back", "`km reset`"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(p.stdout.String(), "backoff") {
		t.Errorf("it was tried again:\n%s", p.stdout)
	}
	if _, err := os.Stat(filepath.Join(member, "wal")); !os.IsNotExist(err) {
		t.Errorf("a new log is beside the old database (%v)", err)
	}
	h.must(t, "snapshot", "restore", files["one"], "--yes")
	if kept, err := filepath.Glob(filepath.Join(h.dataDir("km"), "etcd-*", "member", "snap", "db")); err != nil || len(kept) != 1 {
		t.Errorf("kept: %v (%v)", kept, err)
	}
	p = h.etcd(t)
	if value := h.get(t); value != "one" {
		t.Errorf("the value is %q", value)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
