package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

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
