//go:build unix

package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	for _, path := range []string{state, filepath.Join(dir, "state2", "below"), filepath.Join(state, "a", "b")} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(dir, "state2", "below")
	if err := bind(t, state, mounted); err != nil {
		t.Logf("without a mount: %v", err)
	} else {
		var refused *MountedError
		if err := RemoveAll(filepath.Join(dir, "state2")); !errors.As(err, &refused) {
			t.Fatalf("with a mount: %v", err)
		}
		if diff := cmp.Diff([]string{mounted}, refused.Mounts); diff != "" {
			t.Error(diff)
		}
		if absent(filepath.Join(state, "a", "b")) {
			t.Fatal("what was mounted is gone")
		}
	}
	if err := RemoveAll(link); err != nil || !absent(link) || absent(state) {
		t.Errorf("a link: %v; it alone should be gone", err)
	}
	for _, path := range []string{state, filepath.Join(dir, "nothing")} {
		if err := RemoveAll(path); err != nil || !absent(path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
