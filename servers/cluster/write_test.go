package cluster

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that has the bytes already is not written anew, which a full disk would refuse; any other one is replaced.
func TestWriteReadsFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "file")
	write := func(text string) os.FileInfo {
		t.Helper()
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
		return info
	}
	first := write("one")
	if again := write("one"); !os.SameFile(first, again) {
		t.Error("the same bytes were written again")
	}
	if other := write("two"); os.SameFile(first, other) {
		t.Error("it was not replaced in one step")
	}
}

// Who lets others read a file of km's does so once, although it is made anew.
func TestWriteKeepsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := Write(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
