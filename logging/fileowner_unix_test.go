//go:build unix

package logging

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file or a link that another user has put there is not written to.
func TestFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to give files away")
	}
	const somebody = 12345
	dir := t.TempDir()
	precious, file, link, own := filepath.Join(dir, "precious"), filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "own")
	err := errors.Join(os.WriteFile(precious, []byte("kept"), 0o600), os.WriteFile(file, []byte("kept"), 0o666), os.Symlink(precious, link), os.Symlink(precious, own),
		os.Chown(file, somebody, somebody), os.Lchown(link, somebody, somebody))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if _, err := try(path); err == nil || !strings.Contains(err.Error(), path+" belongs to another user, of number 12345: remove it, or name another file") {
			t.Errorf("the error is %v", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "kept" {
			t.Errorf("%s: %q (%v)", path, text, err)
		}
	}
	if _, err := try(own); err != nil {
		t.Error(err)
	}
}
