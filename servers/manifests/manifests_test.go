package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// What becomes a pipe later is not read: nobody may write into it. What was one at the beginning has been kept.
func TestAnotherPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", name).Run(); err != nil {
		t.Skip("no mkfifo")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &manifests{kept: objects.Kept{}}
	if err := m.another([]string{name, objects.StandardInput, file}); err != nil {
		t.Error(err)
	}
	m.again = true
	if err := m.another([]string{file, name}); err == nil || !strings.Contains(err.Error(), "--apply="+name+": it was none before, and is a pipe now") {
		t.Error(err)
	}
	m.kept[name] = []byte("read")
	if err := m.another([]string{file, name}); err != nil {
		t.Error(err)
	}
}
