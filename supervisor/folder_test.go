package supervisor

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
)

// Another process has the folder: the message says which one, and the ways out.
func TestFolderIsHeldByAnother(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"known", "4711\n", "process 4711"},
		{"just starting", "", "another hk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "hk.lock")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			other := flock.New(file)
			if ok, err := other.TryLock(); !ok || err != nil {
				t.Fatal(ok, err)
			}
			hk, d := steps(t, "")
			out, err := call(hk, "hk", "run", "--data-dir", dir)
			wantCode(t, err, 2)
			want := "Error: the data folder " + dir + " is in use by " + test.want +
				": stop that one, or use another folder with --name or --data-dir\n"
			if out != want {
				t.Errorf("printed %q, want %q", out, want)
			}
			lacks(t, strings.Join(d.lines, " "), "prepare", "run")

			// When the other one is gone, the file that it left is not in the way.
			if err := other.Unlock(); err != nil {
				t.Fatal(err)
			}
			if out, err := call(hk, "hk", "run", "--data-dir", dir); err != nil {
				t.Error(err, out)
			}
		})
	}
}

func TestFolderIsHeldWhileServersRun(t *testing.T) {
	dir := t.TempDir()
	try := func() bool {
		lock := flock.New(filepath.Join(dir, "hk.lock"))
		ok, err := lock.TryLock()
		if err != nil {
			t.Error(err)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
		return ok
	}
	held := map[string]bool{}
	hk := newHyperKube(t, &Server{SimpleUsage: "db",
		Prepare: func(context.Context, *Plan, *Server) error { held["Prepare"] = !try(); return nil },
		Run: func(_ context.Context, _ *Server, _ []string) error {
			held["Run"] = !try()
			text, err := os.ReadFile(filepath.Join(dir, "hk.lock"))
			held["with its number"] = err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid())
			return nil
		}})
	if out, err := call(hk, "hk", "run", "--data-dir", dir); err != nil {
		t.Fatal(err, out)
	}
	for _, when := range []string{"Prepare", "Run", "with its number"} {
		if !held[when] {
			t.Errorf("%s: it is not held", when)
		}
	}
	if !try() {
		t.Error("it is held at the end")
	}
}

func TestFolderCannotBeUsed(t *testing.T) {
	// A file in the place of the folder is in root's way, too.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lockIsFolder := t.TempDir()
	if err := os.Mkdir(filepath.Join(lockIsFolder, "hk.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), lockIsFolder} {
		hk, d := steps(t, "")
		out, err := call(hk, "hk", "run", "--data-dir", dir)
		wantCode(t, err, 2)
		contains(t, out, "Error: the data folder "+dir+" cannot be used: ", "; name another one with --data-dir\n")
		if n := strings.Count(out, dir); n != 1 {
			t.Errorf("it names the folder %d times, want once: %s", n, out)
		}
		lacks(t, strings.Join(d.lines, " "), "prepare", "run")
	}
}

// A temporary folder is there while the servers run, and gone at the end, however that came.
func TestEphemeralFolderIsRemoved(t *testing.T) {
	for _, failing := range []string{"", "db.check", "db.prepare", "db.run"} {
		t.Run("failing "+failing, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			hk, _ := steps(t, failing)
			seen := ""
			api, _ := hk.FindServer("api")
			api.Defaults = func(p *Plan, _ *Server) error { seen = p.DataDir; return nil }
			db, _ := hk.FindServer("db")
			run := db.Run
			made := false
			db.Run = func(ctx context.Context, s *Server, args []string) error {
				info, err := os.Stat(seen)
				made = err == nil && info.Mode().Perm() == 0o700
				return run(ctx, s, args)
			}
			out, err := call(hk, "hk", "run", "--ephemeral")
			if (err != nil) != (failing != "") {
				t.Fatal(err, out)
			}
			if filepath.Dir(seen) != temp || !strings.HasPrefix(filepath.Base(seen), "hk-") {
				t.Errorf("it is %q, want hk-… in %s", seen, temp)
			}
			if ran := failing == "" || failing == "db.run"; made != ran {
				t.Errorf("seen by Run: %v, want %v", made, ran)
			}
			left, err := os.ReadDir(temp)
			if err != nil || len(left) > 0 {
				t.Errorf("there is still %v, %v", left, err)
			}
			if failing == "" {
				contains(t, out, "hk: starting db, api in a temporary folder, "+seen+"\n")
			}
		})
	}
}

// Where the disk is full it is said what helps, whoever has come upon it.
func TestFullDisk(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "/data/key", Err: syscall.ENOSPC}
	p := &Plan{DataDir: "/data"}
	contains(t, cannotUse(p, full).Error(), "the data folder /data cannot be used: "+syscall.ENOSPC.Error()+
		"; free space on its disk, or name another one with --data-dir")
	hk := newHyperKube(t, &Server{SimpleUsage: "db",
		Prepare: func(context.Context, *Plan, *Server) error { return full },
		Run:     func(context.Context, *Server, []string) error { return nil }})
	_, err := call(hk, "hk", "run")
	if err == nil {
		t.Fatal("it has started")
	}
	contains(t, err.Error(), full.Error()+"; free space on the disk of ", ", and try again")
}
