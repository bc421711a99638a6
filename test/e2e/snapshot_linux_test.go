package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-200a7251/km/test/skip"
)

// A full disk is told of, and leaves nothing half done.
func TestSnapshotOnFullDisk(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one")
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		skip.OrFail(t, "mounting a small disk takes root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	// The database is to be bigger than the disk.
	p := h.etcd(t)
	h.put(t, strings.Repeat("much", 50_000))
	p.stop(syscall.SIGTERM)
	check := func() {
		t.Helper()
		file := filepath.Join(disk, "snapshot.db")
		r := h.km(t, "snapshot", "save", file)
		if r.code != 1 || !strings.Contains(r.stderr, file+" cannot be written: no space left on device") {
			t.Errorf("%+v", r)
		}
		if left, err := os.ReadDir(disk); err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	}
	check()
	p = h.etcd(t)
	check()
	p.stop(syscall.SIGTERM)

	// The data itself is on it.
	data := filepath.Join(disk, "data")
	r := h.km(t, "snapshot", "restore", files["one"], "--data-dir="+data)
	if r.code != 1 || !strings.Contains(r.stderr, "nothing was restored: ") || !strings.Contains(r.stderr, "no space left on device") {
		t.Errorf("%+v", r)
	}
	if left, err := filepath.Glob(filepath.Join(data, "etcd*")); err != nil || len(left) > 1 { // the lock
		t.Errorf("left: %v (%v)", left, err)
	}
}
