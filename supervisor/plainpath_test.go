package supervisor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planAt is a plan with a data folder, of a program that knows of no other run.
func planAt(t *testing.T, dir string) (*HyperKube, *Plan) {
	t.Helper()
	hk := &HyperKube{Name: "hk"}
	hk.AddServer(steady("db"))
	p, err := hk.plan(nil, []string{"db", "--data-dir=" + dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.run.logs.Close()
	return hk, p
}

// Where the data folder's path cannot be used, there is another one to the same files, while servers run.
func TestPlainPath(t *testing.T) {
	for name, dir := range map[string]string{
		"plain":       "abc/d_e.f-0",
		"characters":  "a#b,c:d e?f%g/ü\n\xff",
		"a long path": strings.Repeat("long", 40),
	} {
		t.Run(name, func(t *testing.T) {
			root, err := os.MkdirTemp("", "p")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(root)
			temp := filepath.Join(root, "t")
			if err := os.Mkdir(temp, 0o700); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(root, dir)
			var p *Plan
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: func(_ context.Context, _ *Server, _ []string) error {
				path := p.SocketPath("db.sock")
				if !isPlain(path) || name == "plain" && path != p.Path("db.sock") {
					t.Errorf("the socket is at %q", path)
				}
				l, err := net.Listen("unix", path)
				if err != nil {
					t.Error(err)
					return nil
				}
				defer l.Close()
				if info, err := os.Lstat(p.Path("db.sock")); err != nil || info.Mode()&os.ModeSocket == 0 {
					t.Errorf("it is not in the data folder (%v)", err)
				}
				// Others, who are not the run, find it.
				_, others := planAt(t, dir)
				other, ok := others.RunningPath("db.sock")
				if c, err := net.Dial("unix", other); !ok || err != nil {
					t.Errorf("%q: %v, %v", other, ok, err)
				} else if err := c.Close(); err != nil {
					t.Error(err)
				}
				return nil
			}})
			t.Setenv("TMPDIR", temp)
			hk.Servers()[0].Defaults = func(plan *Plan, _ *Server) error { p = plan; return nil }
			if out, err := call(hk, "hk", "run", "--data-dir="+dir); err != nil {
				t.Fatal(err, out)
			}
			empty(t, temp)
			if _, err := os.Lstat(p.Path(plainRecord)); !os.IsNotExist(err) {
				t.Errorf("%s is left (%v)", plainRecord, err)
			}
		})
	}
}

// A killed run leaves its other path, which the next one removes; but not what somebody else has put in its place.
func TestPlainPathThatIsLeft(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	dir := filepath.Join(temp, "a#b")
	hk, p := planAt(t, dir)
	if _, err := hk.holdWithPaths(p); err != nil { // and is killed
		t.Fatal(err)
	}
	left := p.plain
	if _, err := os.Stat(filepath.Join(left, plainLink)); err != nil {
		t.Fatal(err)
	}
	hold := func() {
		t.Helper()
		hk, p := planAt(t, dir)
		if err := os.Remove(p.Path("hk.lock")); err != nil { // the process is the same
			t.Fatal(err)
		}
		release, err := hk.hold(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	hold()
	if _, err := os.Lstat(left); !os.IsNotExist(err) {
		t.Errorf("%s is left (%v)", left, err)
	}
	for what, make := range map[string]func() error{
		"a folder for all": func() error { return os.Mkdir(left, 0o755) },
		"a link":           func() error { return os.Symlink(t.TempDir(), left) },
		"a file":           func() error { return os.WriteFile(left, nil, 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(left, p.Path(plainRecord)); err != nil {
			t.Fatal(err)
		}
		if path, ok := p.RunningPath("x"); ok {
			t.Errorf("%s: it is taken for the path of a run: %s", what, path)
		}
		hold()
		if err := os.Remove(left); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// In a folder that others may enter, sockets are in one of their own.
func TestSocketPathInAnOpenFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	hk, p := planAt(t, dir)
	release, err := hk.holdWithPaths(p)
	if err != nil {
		t.Fatal(err)
	}
	path := p.SocketPath("db.sock")
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", path, info, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{dir, p.Path(socketDir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hk, p = planAt(t, dir)
	release, err = hk.holdWithPaths(p)
	if err == nil || !strings.Contains(err.Error(), "is not for you alone: remove it") {
		t.Errorf("in a folder that others may enter: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
