package cluster

import (
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/renameio/v2"
)

// What a process leaves that is killed while it writes is known.
func TestWritten(t *testing.T) {
	dir := t.TempDir()
	pending, err := renameio.NewPendingFile(filepath.Join(dir, "a.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pending.Cleanup() })
	for _, name := range []string{"a.json", filepath.Base(pending.Name())} {
		if !slices.ContainsFunc(Written("x/a.json"), func(pattern string) bool { ok, _ := path.Match(pattern, "x/"+name); return ok }) {
			t.Errorf("%s is not among %q", name, Written("x/a.json"))
		}
	}
}
