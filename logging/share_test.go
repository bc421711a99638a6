package logging

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Who reads a log is not in the way of its rotation, and reads on.
func TestReaderLetsRename(t *testing.T) {
	dir := t.TempDir()
	log, renamed := filepath.Join(dir, "x.log"), filepath.Join(dir, "renamed.log")
	if err := os.WriteFile(log, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openShared(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(log, renamed); err != nil {
		t.Fatal(err)
	}
	if there, err := os.Stat(renamed); err != nil || !os.SameFile(info, there) {
		t.Errorf("it is not the same file (%v)", err)
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("%q (%v)", text, err)
	}
	if err := os.Remove(renamed); err != nil {
		t.Error(err)
	}
	if _, err := openShared(log); !os.IsNotExist(err) {
		t.Errorf("of what is not there: %v", err)
	}
}
