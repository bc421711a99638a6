package supervisor

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// Whoever holds the folder finds it whole until the end, although others delete it again and again.
func TestResetAndHold(t *testing.T) {
	db := steady("db")
	db.State = []string{"mine"}
	hk := newHyperKube(t, db)
	hk.SetOut(io.Discard)
	p := locate(t, hk)
	var resets sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		resets.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// It is refused while the folder is held, or if another one deletes it.
				if _, err := hk.deletable(p); err == nil {
					if release, err := hk.hold(p); err == nil {
						if err := errors.Join(hk.empty(p), release()); err != nil {
							t.Error(err)
							return
						}
					}
				}
			}
		})
	}
	held := 0
	for held < 200 {
		release, err := hk.hold(p)
		if err != nil {
			continue // at this moment it is deleted
		}
		held++
		file := p.Path("mine")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	resets.Wait()
}

// A lock on a file that has been deleted keeps nobody out.
func TestLockOnDeletedFile(t *testing.T) {
	file := t.TempDir() + "/hk.lock"
	lock := flock.New(file)
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer lock.Close()
	if !sameFile(lock, file) {
		t.Error("it is the file")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if sameFile(lock, file) {
		t.Error("the file is gone")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if sameFile(lock, file) {
		t.Error("it is another file")
	}
}

// What is left after a reset is nothing.
func TestResetLeavesNothing(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	p := locate(t, hk)
	if out, err := call(hk, "hk", "reset", "--yes"); err != nil || out != p.DataDir+" is deleted\n" {
		t.Error(err, out)
	}
	if _, err := os.Stat(p.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
