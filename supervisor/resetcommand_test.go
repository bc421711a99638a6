package supervisor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
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
		p := locate(t, hk)
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
						if err := errors.Join(hk.empty(p, release), release()); err != nil {
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

// What lies elsewhere is forgotten while the folder is still there, by reset and at the end of an ephemeral run. What
// goes wrong there is told, and the folder is deleted all the same.
func TestForget(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
	var called []string
	hk.Forget = func(_ context.Context, p *Plan) ([]string, error) {
		if _, err := os.Stat(p.DataDir); err == nil {
			called = append(called, p.DataDir)
		} else {
			called = append(called, "no folder")
		}
		return []string{"an entry is gone"}, errors.New("another\x1b is damaged")
	}
	if out, err := call(hk, "hk", "run"); err != nil || len(called) > 0 {
		t.Fatal(err, called, out)
	}
	p := locate(t, hk)
	const told = "an entry is gone\nWarning: another\\x1b is damaged\n"
	if out, err := call(hk, "hk", "reset", "--yes"); err != nil || out != told+p.DataDir+" is deleted\n" {
		t.Error(err, out)
	}
	if out, err := call(hk, "hk", "reset", "--yes"); err != nil || out != told+"there is nothing to delete in "+p.DataDir+"\n" {
		t.Error(err, out)
	}
	out, err := call(hk, "hk", "run", "--ephemeral", "--quiet")
	if err != nil || strings.Contains(out, "gone") || !strings.Contains(out, "Warning: another") {
		t.Error(err, out)
	}
	if len(called) != 3 || called[0] != p.DataDir || called[1] != "no folder" || called[2] == p.DataDir || called[2] == "no folder" {
		t.Error(called)
	}
	if _, err := os.Stat(called[2]); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the ephemeral folder is still there", err)
	}
}
