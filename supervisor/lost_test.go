package supervisor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// keeper is a server with a folder, and a file in it, in its data folder, which are to stay where they are.
func keeper(ended chan<- struct{}) *Server {
	var dir string
	return &Server{SimpleUsage: "db", State: []string{"db"},
		Prepare: func(_ context.Context, p *Plan, _ *Server) error {
			dir = p.Path("db")
			return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "data"), []byte("x"), 0o600))
		},
		Ready: func(context.Context, *Server) error { return nil },
		Keeps: func(*Server) []string { return []string{dir, filepath.Join(dir, "data")} },
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			<-ctx.Done()
			close(ended)
			return nil
		}}
}

// When the data folder is gone, or what a server keeps, the run fails: that server first, and nothing is written where
// the folder was.
func TestLostFolder(t *testing.T) {
	for name, test := range map[string]struct {
		change func(dir string) error
		lost   string   // what the server itself sees at once
		want   []string // of the message
		left   []string // where the folder was; nil if it is not looked at
	}{
		"deleted": {os.RemoveAll, "DIR/db was deleted", []string{
			"the data folder DIR was deleted while hk ran: all that was in it is lost; put a backup in its place, if there is one, or begin anew with `hk run --data-dir=DIR`"},
			[]string{}},
		"moved": {func(dir string) error { return os.Rename(dir, dir+".moved") }, "DIR/db was moved to DIR.moved/db", []string{
			"the data folder DIR was moved to DIR.moved while hk ran; nothing is lost: move it back, or go on there with `hk run --data-dir=DIR.moved`"},
			[]string{}},
		"replaced": {func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) }, "DIR/db was deleted", []string{
			"the data folder DIR was deleted (another one is in its place) while hk ran: "}, []string{}},
		"replaced by a file": {func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
			"DIR/db was deleted", []string{"the data folder DIR was deleted (another one is in its place) while hk ran: "}, nil},
		"replaced by another run's": {func(dir string) error {
			err := errors.Join(os.Rename(dir, dir+".moved"), os.MkdirAll(filepath.Join(dir, "logs"), 0o700))
			for _, file := range []string{"hk.lock", "hk.sock", "running.json", "crash.log"} {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o600))
			}
			return err
		}, "DIR/db was moved to DIR.moved/db", []string{"the data folder DIR was moved to DIR.moved (another one is in its place)"},
			[]string{"crash.log", "hk.lock", "hk.sock", "logs", "running.json"}},
		"lock deleted": {func(dir string) error { return os.Remove(filepath.Join(dir, "hk.lock")) }, "", []string{
			"DIR/hk.lock was deleted while hk ran: without it another process could use the data folder, too; `hk run --data-dir=DIR` goes on with what is there",
			"See 'hk logs --data-dir=DIR'"}, []string{"db", "hk.sock", "logs"}},
		"lock replaced": {func(dir string) error {
			lock := filepath.Join(dir, "hk.lock")
			return errors.Join(os.WriteFile(lock+".new", nil, 0o600), os.Rename(lock+".new", lock))
		}, "", []string{"DIR/hk.lock was deleted (another one is in its place) while hk ran: "}, []string{"db", "hk.lock", "hk.sock", "logs"}},
		"emptied": {func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "db")), os.Remove(filepath.Join(dir, "hk.lock")))
		}, "DIR/db was deleted", []string{"db: DIR/db was deleted while it ran, and what was in it is lost; "}, nil},
		"a server's folder deleted": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "db")) }, "DIR/db was deleted", []string{
			"db: DIR/db was deleted while it ran, and what was in it is lost; put a backup in its place, if there is one, " +
				"or begin anew with `hk reset --data-dir=DIR` and `hk run --data-dir=DIR`", "See 'hk logs --data-dir=DIR'"}, []string{"hk.lock", "logs"}},
		"a server's folder moved": {func(dir string) error { return os.Rename(filepath.Join(dir, "db"), filepath.Join(dir, "other")) }, "DIR/db was moved to DIR/other",
			[]string{"db: DIR/db was moved to DIR/other while it ran; nothing is lost: move it back, and go on with `hk run --data-dir=DIR`"}, nil},
		"a server's file deleted": {func(dir string) error { return os.Remove(filepath.Join(dir, "db", "data")) }, "DIR/db/data was deleted",
			[]string{"db: DIR/db/data was deleted while it ran"}, []string{"db", "hk.lock", "logs"}},
	} {
		t.Run(name, func(t *testing.T) {
			top, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(top, "data")
			in := func(text string) string { return strings.ReplaceAll(text, "DIR", dir) }
			ended := make(chan struct{})
			db := keeper(ended)
			api := &Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
				if err := test.change(dir); err != nil {
					return err
				}
				lost := ""
				if err := db.Lost(); err != nil {
					lost = err.Error()
				}
				if lost != in(test.lost) {
					t.Errorf("the server sees %q, want %q", lost, in(test.lost))
				}
				s.Logger().Info("a line")
				if test.lost != "" {
					// db waits for nobody.
					select {
					case <-ended:
					case <-time.After(patience):
						return overdue(t, "the end of db")
					}
				}
				<-ctx.Done()
				return nil
			}}
			out, err := call(newHyperKube(t, db, api), "hk", "run", "--data-dir="+dir)
			wantCode(t, err, 1)
			for _, want := range test.want {
				contains(t, out, in(want))
			}
			lacks(t, out, "left behind")
			if strings.HasPrefix(test.want[0], "the data folder") {
				lacks(t, out, "See 'hk logs")
			}
			if test.left == nil {
				return
			}
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			left := []string{}
			for _, e := range entries {
				left = append(left, e.Name())
			}
			if strings.Join(left, " ") != strings.Join(test.left, " ") {
				t.Errorf("in the folder there is %q, want %q", left, test.left)
			}
			if _, err := os.Lstat(filepath.Join(dir+".moved", "running.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("where it is now the run seems to go on (%v)", err)
			}
			if name == "replaced by another run's" {
				for _, e := range entries {
					if text, err := os.ReadFile(filepath.Join(dir, e.Name())); !e.IsDir() && (err != nil || string(text) != "x") {
						t.Errorf("%s is written to: %q, %v", e.Name(), text, err)
					}
				}
			}
		})
	}
}

// A server that ends because of what is gone, in whatever way, is not started again, and not taken for done: it would
// begin anew, and nobody would know.
func TestLostByAServerThatEnds(t *testing.T) {
	for name, test := range map[string]struct {
		restart RestartPolicy
		err     error // of Run
	}{
		"fails":              {RestartOnFailure, errors.New("no file")},
		"fails for good":     {RestartOnFailure, Permanent(errors.New("no file"))},
		"is done":            {RestartOnFailure, nil},
		"would go on":        {RestartAlways, nil},
		"fails, and stays":   {RestartNever, errors.New("no file")},
		"is done, and stays": {RestartNever, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			gone, starts := make(chan struct{}), 0
			db := keeper(nil)
			db.Restart = test.restart
			db.Run = func(ctx context.Context, s *Server, args []string) error {
				if starts++; starts > 1 {
					return errors.New("once more")
				}
				select {
				case <-gone:
				case <-ctx.Done():
				}
				return test.err
			}
			api := &Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Run: func(ctx context.Context, _ *Server, _ []string) error {
				if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
					return err
				}
				close(gone)
				<-ctx.Done()
				return nil
			}}
			out, err := call(newHyperKube(t, db, api), "hk", "run", "--data-dir="+dir)
			wantCode(t, err, 1)
			contains(t, out, "Error: db: "+filepath.Join(dir, "db")+" was deleted while it ran")
			if starts != 1 {
				t.Errorf("it was started %d times", starts)
			}
		})
	}
}

// What goes first may be seen while the data folder is being deleted: that the folder is gone is what counts at the
// end.
func TestLostWhileItIsDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ended := make(chan struct{})
	db := keeper(ended)
	api := &Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Run: func(ctx context.Context, _ *Server, _ []string) error {
		if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
			return err
		}
		<-ctx.Done()
		return os.RemoveAll(dir)
	}}
	out, err := call(newHyperKube(t, db, api), "hk", "run", "--data-dir="+dir)
	wantCode(t, err, 1)
	contains(t, out, "Error: the data folder "+dir+" was deleted while hk ran")
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		var made []string
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			made = append(made, path)
			return err
		})
		t.Errorf("it is there again (%v), with %v\n%s", err, made, out)
	}
}

// What a server keeps is its own as long as it runs: while it is stopped it may be replaced, as a restore from a backup
// does.
func TestKeptWhileItRuns(t *testing.T) {
	db := keeper(make(chan struct{}))
	db.Run = idle
	s := serve(t, db)
	s.await("db", Ready)
	ask := func(what life.Verb) {
		t.Helper()
		if err := s.steer(t.Context(), what, "db"); err != nil {
			t.Fatal(err)
		}
	}
	wantNone := func(when string) {
		t.Helper()
		if err := db.Lost(); err != nil || s.p.run.look() {
			t.Errorf("%s: it is said to be lost: %v", when, err)
		}
	}
	wantNone("ready")
	ask(life.Stop)
	dir := s.p.Path("db")
	if err := errors.Join(os.Rename(dir, dir+".aside"), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "data"), "restored")
	wantNone("stopped")
	ask(life.Start)
	wantNone("started again")
	if err := errors.Join(s.stop(), os.RemoveAll(dir+".aside")); err != nil {
		t.Error(err)
	}
}

// At the end of a run whose folder is gone, nothing is removed of another run's that is in its place: neither its
// second path, nor, of an ephemeral folder, all of it.
func TestLostFolderEndsNoOtherRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a,b") // it needs a second path
	hk, p := planAt(t, dir)
	release, err := hk.holdWithPaths(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	otherHK, other := planAt(t, dir)
	releaseOther, err := otherHK.holdWithPaths(other)
	if err != nil {
		t.Fatal(err)
	}
	p.run.leaveFolder(p.run.folder.Lost())
	if err := release(); err != nil {
		t.Error(err)
	}
	write(t, other.Path("x"), "")
	if path, ok := other.RunningPath("x"); !ok {
		t.Errorf("the other run's second path is gone: %q", path)
	}
	if err := releaseOther(); err != nil {
		t.Error(err)
	}

	var ephemeral string
	db := &Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *Server, _ []string) error {
		err := errors.Join(os.Rename(ephemeral, ephemeral+".moved"), os.Mkdir(ephemeral, 0o700),
			os.WriteFile(filepath.Join(ephemeral, "other"), nil, 0o600))
		if err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}}
	db.Prepare = func(_ context.Context, p *Plan, _ *Server) error { ephemeral = p.DataDir; return nil }
	t.Setenv("TMPDIR", t.TempDir())
	out, err := call(newHyperKube(t, db), "hk", "run", "--ephemeral")
	wantCode(t, err, 1)
	contains(t, out, "was moved to "+ephemeral+".moved (another one is in its place)")
	if _, err := os.Stat(filepath.Join(ephemeral, "other")); err != nil {
		t.Error(err)
	}
}
