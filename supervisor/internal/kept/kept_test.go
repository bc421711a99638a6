package kept

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An orderly change is none: a file that is replaced in one step, other files than before, and anything while the
// server does not run.
func TestNothingIsLost(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1"), "x")
	paths := []string{dir, filepath.Join(dir, "1")}
	k := LookAfter(false, func() []string { return paths })
	wantLost := func(what string, want bool) {
		t.Helper()
		if lost := k.Lost(); (lost != nil) != want {
			t.Errorf("%s: %v", what, lost)
		}
	}
	wantLost("as it was", false)
	write(t, filepath.Join(dir, "new"), "y")
	if err := os.Rename(filepath.Join(dir, "new"), paths[1]); err != nil {
		t.Fatal(err)
	}
	wantLost("replaced in one step", false)
	write(t, filepath.Join(dir, "2"), "z")
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	wantLost("deleted", true)
	paths = []string{dir, filepath.Join(dir, "2")}
	wantLost("another one instead", false)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantLost("the folder deleted", true)
	k.Close()
	wantLost("at the end", false)
}

// A file that is replaced is let go, or its space would be gone for as long as the server runs.
func TestReplacedFileIsLetGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	replace := func(path string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Rename(path, file)); err != nil {
			t.Fatal(err)
		}
	}
	replace(file + ".first")
	k := LookAfter(false, func() []string { return []string{file} })
	defer k.Close()
	before := k.all[0].file
	replace(file + ".second")
	if lost := k.Lost(); lost != nil {
		t.Fatal(lost)
	}
	if _, err := before.Stat(); before != nil && !errors.Is(err, os.ErrClosed) { // on Windows none is held open
		t.Errorf("what was there before is still open (%v)", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if lost := k.Lost(); lost == nil {
		t.Error("that it is gone then is not seen")
	}
}
