//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// somebody is another user of the machine: a number that nobody has.
const somebody = 12345

// requireRoot skips a test that gives files to somebody else.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root to give files away")
	}
}

// give gives a file or link to somebody else.
func give(t *testing.T, path string) {
	t.Helper()
	if err := os.Lchown(path, somebody, somebody); err != nil {
		t.Fatal(err)
	}
}

// noError fails the test with the first error.
func noError(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What others own, or may write to, is not used: they could put something else there, or have done so. Nothing is
// written then, and nothing deleted.
func TestFolderOfAnotherUser(t *testing.T) {
	requireRoot(t)
	const belongs = "belongs to user 12345"
	for name, test := range map[string]struct {
		make func(t *testing.T, p *Plan) // of a folder that has been run with
		want string                      // an error; "" for none
		way  string                      // what makes it go away, in the error
	}{
		"the folder is somebody's": {
			func(t *testing.T, p *Plan) { give(t, p.DataDir) },
			"as it " + belongs + ", who may change what is in it: ", "chown -R 0 DIR",
		},
		"all is somebody's": {
			func(t *testing.T, p *Plan) {
				noError(t, filepath.WalkDir(p.DataDir, func(path string, _ fs.DirEntry, err error) error { give(t, path); return err }))
			},
			"as it " + belongs + ", who may change what is in it: ", "chown -R 0 DIR",
		},
		"the folder is a link of somebody's": {
			func(t *testing.T, p *Plan) {
				noError(t, os.Rename(p.DataDir, p.DataDir+"-real"), os.Symlink(p.DataDir+"-real", p.DataDir))
				give(t, p.DataDir)
			},
			"as it is a link of user 12345, who may have it lead elsewhere: name the folder behind it", "--data-dir",
		},
		"the folder is a link of one's own": {
			func(t *testing.T, p *Plan) {
				noError(t, os.Rename(p.DataDir, p.DataDir+"-real"), os.Symlink(p.DataDir+"-real", p.DataDir))
			}, "", "",
		},
		"a folder in it is somebody's": {
			func(t *testing.T, p *Plan) { give(t, p.Path("logs")) },
			"as logs in it " + belongs + ": ", "chown -R 0 DIR/logs",
		},
		"a link in it is somebody's": {
			func(t *testing.T, p *Plan) {
				noError(t, os.RemoveAll(p.Path("logs")), os.Symlink(t.TempDir(), p.Path("logs")))
				give(t, p.Path("logs"))
			},
			"as logs in it " + belongs + ": ", "chown -R 0 DIR/logs",
		},
		"a link in it leads to a folder of somebody's": {
			func(t *testing.T, p *Plan) {
				to := t.TempDir()
				give(t, to)
				noError(t, os.RemoveAll(p.Path("logs")), os.Symlink(to, p.Path("logs")))
			},
			"as logs in it " + belongs + ": ", "",
		},
		"a link in it leads to a folder for everybody": {
			func(t *testing.T, p *Plan) {
				to := t.TempDir()
				noError(t, os.Chmod(to, 0o777), os.RemoveAll(p.Path("logs")), os.Symlink(to, p.Path("logs")))
			},
			"as others may change logs in it: ", "chmod go-w DIR/logs",
		},
		"a link in it leads to a folder of one's own": {
			func(t *testing.T, p *Plan) {
				noError(t, os.RemoveAll(p.Path("logs")), os.Symlink(t.TempDir(), p.Path("logs")))
			}, "", "",
		},
		"a file below is somebody's": {
			func(t *testing.T, p *Plan) { give(t, p.Path("logs", "db.log")) },
			"as logs/db.log in it " + belongs + ": ", "chown -R 0 DIR/logs/db.log",
		},
		"others may enter, and write to a folder": {
			func(t *testing.T, p *Plan) { noError(t, os.Chmod(p.DataDir, 0o755), os.Chmod(p.Path("logs"), 0o775)) },
			"as others may change logs in it: ", "chmod go-w DIR/logs",
		},
		"others may enter, and write to a file": {
			func(t *testing.T, p *Plan) {
				noError(t, os.Chmod(p.DataDir, 0o755), os.Chmod(p.Path("logs"), 0o755), os.Chmod(p.Path("logs", "db.log"), 0o666))
			},
			"as others may change logs/db.log in it: ", "chmod go-w DIR/logs/db.log",
		},
		"others may not enter": {
			func(t *testing.T, p *Plan) { noError(t, os.Chmod(p.Path("logs"), 0o777)) }, "", "",
		},
		"containers have their volumes": { // in a folder that is the program's own
			func(t *testing.T, p *Plan) {
				write(t, p.Path("pods", "volume", "data"), "")
				noError(t, os.Chmod(p.Path("pods", "volume"), 0o777))
				give(t, p.Path("pods", "volume"))
				give(t, p.Path("pods", "volume", "data"))
			}, "", "",
		},
		"what is not the program's is somebody's": {
			func(t *testing.T, p *Plan) { give(t, write(t, p.Path("notes"), "")) }, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			hk := newHyperKube(t, &Server{SimpleUsage: "db", State: []string{"pods/*"}, Run: func(_ context.Context, s *Server, _ []string) error {
				runs++
				s.Logger().Info("runs")
				return nil
			}})
			p := locate(t, hk)
			if out, err := call(hk, "hk", "run"); err != nil {
				t.Fatal(err, out)
			}
			test.make(t, p)
			before := listing(t, p)
			if test.want == "" {
				if out, err := call(hk, "hk", "run"); err != nil || runs != 2 {
					t.Error(err, out)
				}
				return
			}
			for _, args := range [][]string{{"hk", "run"}, {"hk", "reset", "--yes"}} {
				out, err := call(hk, args...)
				wantCode(t, err, map[string]int{"run": 2, "reset": 1}[args[1]])
				contains(t, out, "Error: the data folder "+p.DataDir+" is not safe, ", test.want, strings.ReplaceAll(test.way, "DIR", p.DataDir), "--data-dir")
				if after := listing(t, p); after != before || runs != 1 {
					t.Errorf("%s: there is %s, want %s", args[1], after, before)
				}
			}
		})
	}
}

// What a user is told to do is one sentence, whoever he is.
func TestOrChown(t *testing.T) {
	for user, want := range map[int]string{0: "call `chown -R 0 '/a b'` if you trust what is in it, or remove it", somebody: "remove it"} {
		if got := orChown(user, "/a b", "remove it"); got != want {
			t.Errorf("user %d: %s, want %s", user, got, want)
		}
	}
}

// listing is what is in a data folder.
func listing(t *testing.T, p *Plan) string {
	t.Helper()
	var lines []string
	noError(t, filepath.WalkDir(p.DataDir+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			lines = append(lines, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime()))
		}
		return err
	}))
	return strings.Join(lines, "\n")
}

// Others may replace the data folder by what they do above it. That is told, but for folders in which they cannot.
func TestFolderAbove(t *testing.T) {
	for name, test := range map[string]struct {
		mode     os.FileMode
		uid, gid int
		safe     bool
	}{
		"of one's own":         {0o755, 0, 0, true},
		"for everybody":        {0o777, 0, 0, false},
		"for temporary files":  {0o777 | os.ModeSticky, 0, 0, true},
		"of a group":           {0o775, 0, somebody, false},
		"of root's group":      {0o775, 0, 0, true},
		"of somebody":          {0o755, somebody, somebody, false},
		"of somebody, as /tmp": {0o777 | os.ModeSticky, somebody, somebody, false},
	} {
		t.Run(name, func(t *testing.T) {
			requireRoot(t)
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
			top, err := filepath.EvalSymlinks(t.TempDir())
			noError(t, err)
			for dir := top; dir != "/"; dir = filepath.Dir(dir) {
				if system.Replaceable(dir) != "" {
					t.Skip("the tests' own folder is below one that others may change: ", system.Replaceable(dir))
				}
			}
			above := filepath.Join(top, "above")
			noError(t, os.MkdirAll(filepath.Join(above, "own"), 0o700), os.Chmod(above, test.mode), os.Chown(above, test.uid, test.gid))
			out, err := call(hk, "hk", "run", "--data-dir="+filepath.Join(above, "own", "data"))
			if err != nil {
				t.Fatal(err, out)
			}
			text, err := os.ReadFile(filepath.Join(above, "own", "data", "logs", "hk.log"))
			noError(t, err)
			if warned := strings.Contains(string(text), `"above":"`+above+`"`); warned == test.safe {
				t.Errorf("warned: %v\n%s", warned, text)
			}
		})
	}
	t.Run("of a user's own group", func(t *testing.T) {
		requireRoot(t)
		dir := t.TempDir()
		noError(t, os.Chmod(dir, 0o775), os.Chown(dir, somebody, somebody))
		t.Setenv("SUDO_UID", fmt.Sprint(somebody)) // with sudo that user is no other one
		if info, err := os.Stat(dir); err != nil || !system.IsSafeAbove(info) {
			t.Error("not safe", err)
		}
	})
}

// The file of a socket is for its owner alone: whoever gets through to it may do all that its server does.
func TestSocketIsForTheOwner(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") // short
	noError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	db := &Server{SimpleUsage: "db"}
	l := open(t, db, "unix", filepath.Join(dir, "db.sock"))
	defer db.at().sockets.Close()
	if info, err := os.Stat(l.Addr().String()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	// One without a file has no mode.
	if c, err := system.ListenPrivately("unix", "@supervisor-"+filepath.Base(dir)); err == nil {
		noError(t, c.Close())
	} else if !errors.As(err, new(*net.OpError)) { // not on all systems
		t.Error(err)
	}
}
