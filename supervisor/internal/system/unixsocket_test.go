package system

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// longFolder is a folder whose path is too long for a socket in it.
func longFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// empty fails the test if there is something in the folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("in %s there is %v (%v)", dir, entries, err)
	}
}

func TestUnixSocket(t *testing.T) {
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	for name, dir := range map[string]string{"short": short, "long": longFolder(t)} {
		t.Run(name, func(t *testing.T) {
			temp, err := os.MkdirTemp("", "t")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(temp)
			t.Setenv("TMPDIR", temp)
			path := filepath.Join(dir, "hk.sock")
			l, err := ListenUnix(path)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("mode %v (%v)", info.Mode(), err)
			}
			address, err := UnixAddress(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()

			// A killed process leaves it behind.
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			_ = l.Close()
			if l, err = ListenUnix(path); err != nil {
				t.Fatal(err)
			}
			if entries, err := os.ReadDir(temp); err != nil || len(entries) > 1 {
				t.Errorf("the one before has left its folder: %v (%v)", entries, err)
			}
			_ = l.Close()
			RemoveUnix(path)
			empty(t, dir)
			empty(t, temp)
			RemoveUnix(path) // once more
		})
	}
}

// Where the path of the temporary folder is too long as well, another one is used.
func TestUnixSocketWithLongTemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := longFolder(t)
	path := filepath.Join(dir, "hk.sock")
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	real, err := UnixAddress(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(real)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	_ = l.Close()
	RemoveUnix(path)
	empty(t, dir)
	empty(t, os.TempDir())
	if _, err := os.Lstat(filepath.Dir(real)); !os.IsNotExist(err) {
		t.Errorf("%s is left (%v)", real, err)
	}
	if _, err := UnixAddress(path); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// What is no socket is not replaced.
func TestUnixSocketInPlaceOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hk.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := ListenUnix(path); err == nil {
		_ = l.Close()
		t.Error("there is a socket in the place of a file")
	}
	RemoveUnix(path)
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Error(err)
	}
}

// A link that somebody else has made is replaced. What it leads to stays.
func TestUnixSocketInPlaceOfALink(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	precious := filepath.Join(dir, "home", "precious")
	if err := os.MkdirAll(filepath.Dir(precious), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hk.sock")
	if err := os.Symlink(precious, path); err != nil {
		t.Fatal(err)
	}
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	RemoveUnix(path)
	if text, err := os.ReadFile(precious); err != nil || string(text) != "mine" {
		t.Error(err)
	}
}

// Only of a symlink it is said where it leads.
func TestLinkAt(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if _, linked, err := linkAt(file); linked || !os.IsNotExist(err) {
		t.Errorf("what is not there: %v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, linked, err := linkAt(file); linked || err != nil {
		t.Errorf("a file: %v", err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err) // on Windows few may
	}
	if real, linked, err := linkAt(link); !linked || err != nil || real != file {
		t.Errorf("a link: %q (%v)", real, err)
	}
}
