package release

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Who builds a commit gets the binary that others get, wherever it is built.
func TestReproducible(t *testing.T) {
	var binaries [2][]byte
	for i, dir := range []string{filepath.Join(t.TempDir(), "km"), filepath.Join(t.TempDir(), "somewhere", "quite", "else")} {
		// What is compiled, and how: without history, from which the version comes.
		for _, name := range []string{"go.mod", "go.sum", "Makefile", ".ci", "cmd", "supervisor", "servers", "logging"} {
			if err := copyAll(filepath.Join(dir, name), filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
		c := exec.CommandContext(t.Context(), "make", "-C", dir, "build")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var err error
		if binaries[i], err = os.ReadFile(filepath.Join(dir, "bin", "km")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(binaries[0], binaries[1]) {
		t.Error("two builds of the same in two folders differ")
	}
}

// copyAll copies a file or a folder.
func copyAll(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode())
}
