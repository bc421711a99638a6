package etcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-200a7251/km/supervisor"
)

// While a restore replaces the data, etcd does not start, and the other way round.
func TestNoStartDuringSwap(t *testing.T) {
	p := &supervisor.Plan{DataDir: t.TempDir()}
	r := &restore{snapshots: &snapshots{hk: &supervisor.HyperKube{Name: "km"}, plan: p}}
	none := func() error { return nil }
	failed := errors.New("failed")

	started := make(chan error, 1)
	var swapping atomic.Bool
	swapping.Store(true)
	err := r.whileNoneStarts(func() error {
		ended, end := context.WithCancel(t.Context())
		end()
		if err := whileNotReplaced(ended, startingLock(p), func() error { t.Error("started"); return nil }); err != nil {
			t.Error(err)
		}
		go func() {
			started <- whileNotReplaced(t.Context(), startingLock(p), func() error {
				if swapping.Load() {
					t.Error("started while the data was replaced")
				}
				return failed
			})
		}()
		if err := r.whileNoneStarts(none); err == nil {
			t.Error("two swaps at once")
		}
		swapping.Store(false)
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := <-started; !errors.Is(err, failed) {
		t.Error(err)
	}
	err = whileNotReplaced(t.Context(), startingLock(p), func() error {
		if err := r.whileNoneStarts(none); err == nil || !strings.Contains(err.Error(), "etcd is being started") {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := r.whileNoneStarts(none); err != nil {
		t.Error(err)
	}
}

// What a killed save has left is removed by the next one in the folder; what is in use, or something else, is not.
func TestRemoveLeft(t *testing.T) {
	dir := t.TempDir()
	inUse, remove, err := beside(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		".snapshot-killed/lock":        "",
		".snapshot-killed/db.part":     "secret",
		".snapshot-killedlater/lock":   "",
		".snapshot-killedlater/db":     "secret",
		".snapshot-somebodys/db":       "kept",
		".snapshot-somebodys2/lock":    "",
		".snapshot-somebodys2/letters": "kept",
		".snapshot-file":               "kept",
		"other/lock":                   "kept",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(inUse, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeLeft(dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{inUse, filepath.Join(dir, ".snapshot-somebodys/db"), filepath.Join(dir, ".snapshot-somebodys2/letters"),
		filepath.Join(dir, ".snapshot-file"), filepath.Join(dir, "other/lock")} {
		if text, err := os.ReadFile(path); err != nil || string(text) != "kept" {
			t.Errorf("%s: %q (%v)", path, text, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".snapshot-killed*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(inUse)); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// In a folder for everybody others put up traps: places of their own, and links. They are not entered.
func TestRemoveLeftOfOthers(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	for _, place := range []string{elsewhere, filepath.Join(dir, ".snapshot-somebodys"), filepath.Join(dir, ".snapshot-open")} {
		if err := os.MkdirAll(place, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{partLock, partFile} {
			if err := os.WriteFile(filepath.Join(place, name), []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.Symlink(elsewhere, filepath.Join(dir, ".snapshot-link")), os.Chmod(filepath.Join(dir, ".snapshot-open"), 0o777)); err != nil {
		t.Fatal(err)
	}
	places := []string{".snapshot-open", ".snapshot-link"}
	if os.Geteuid() == 0 { // who else cannot give files away
		if err := os.Chown(filepath.Join(dir, ".snapshot-somebodys"), 12345, 12345); err != nil {
			t.Fatal(err)
		}
		places = append(places, ".snapshot-somebodys")
	}
	// The link may have taken the place of a folder that was there a moment ago.
	if err := errors.Join(removeLeft(dir), removePlace(filepath.Join(dir, ".snapshot-link"))); err != nil {
		t.Fatal(err)
	}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(dir, place, partFile)); err != nil {
			t.Error(err)
		}
	}
}

// A database without its log is damaged, unless that is elsewhere.
func TestLostLog(t *testing.T) {
	dir := t.TempDir()
	err := os.MkdirAll(filepath.Dir(databaseIn(dir)), 0o700)
	if err == nil {
		err = os.WriteFile(databaseIn(dir), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := present(dir); err == nil || !strings.Contains(err.Error(), "--etcd.wal-dir") || !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}
