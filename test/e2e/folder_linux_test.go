package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder of somebody else's is not taken. One that was taken once, when km did that, goes on working, and is not
// deleted with what is km's.
func TestFolderOfOthers(t *testing.T) {
	t.Parallel()
	o := newOddPlace(t, "project")
	mine := []string{o.path("main.go"), o.path("pki", "server.key"), o.path("etcd", "README"), o.path("logs", "app.log"), o.path("volumes", "db", "data")}
	for _, file := range mine {
		o.write(t, file, precious)
	}
	if err := os.Chmod(o.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	untouched := func() {
		t.Helper()
		for _, file := range mine {
			if text, err := os.ReadFile(file); err != nil || string(text) != precious {
				t.Errorf("%s: %q (%v)", file, text, err)
			}
		}
		if info, err := os.Stat(o.folder); err != nil {
			t.Fatal(err)
		} else if info.Mode().Perm() != 0o755 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	run := []string{"run", "apiserver", "--free-ports", "--quiet", "--data-dir=" + o.folder, "--", "sh", "-c", "km kubectl get namespaces -o name"}
	r := o.h.km(t, run...)
	if want := "is not empty, and no km has made it: there is main.go in it; name a new or empty one with --data-dir, such as --data-dir=" + o.path("km"); r.code != 2 || !strings.Contains(r.stderr, want) {
		t.Errorf("exit code %d, want %q in\n%s", r.code, want, r.stderr)
	}
	if _, err := os.Stat(o.path("km.lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock is there (%v)", err)
	}
	untouched()

	o.write(t, o.path("km.lock"), "")
	if r := o.h.km(t, run...); r.code != 0 || !strings.Contains(r.stdout, "namespace/default") {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := o.h.km(t, "reset", "--yes", "--data-dir="+o.folder); r.code != 0 || !strings.Contains(r.stdout, "what it has not made stays: etcd/README, logs/app.log, main.go, pki/server.key, volumes/db\n") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	untouched()
	var left []string
	err := filepath.WalkDir(o.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) != len(mine) {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// An empty folder that is there is used as it is. Keys of the users' own that are in it before the first run are used,
// and stay when it is reset; what km has made goes, whatever the servers were.
func TestFolderOfTheUsers(t *testing.T) {
	t.Parallel()
	o := newOddPlace(t, "folder")
	at := "--data-dir=" + o.folder
	if err := os.Chmod(o.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	script := `stat -c %a "$KM_DATA_DIR" "$KM_DATA_DIR/sockets" "$KM_DATA_DIR/km.sock" "$KM_DATA_DIR/sockets/etcd.sock" && cp "$KM_DATA_DIR/pki/ca.crt" "$KM_DATA_DIR/pki/ca.key" "$1"`
	r := o.h.km(t, "run", "--free-ports", "--quiet", at, "--", "sh", "-c", script, "sh", o.h.dir)
	if r.code != 0 || r.stdout != "755\n700\n600\n600\n" {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got, want := o.h.must(t, "reset", "--yes", at), "all in "+o.folder+" is deleted; the folder itself stays\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	empty(t, o.folder)
	for _, name := range []string{"ca.crt", "ca.key"} {
		text, err := os.ReadFile(filepath.Join(o.h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		o.write(t, o.path("pki", name), string(text))
	}
	r = o.h.km(t, "run", "apiserver", "--free-ports", "--quiet", at, "--", "cmp", o.path("pki", "ca.key"), filepath.Join(o.h.dir, "ca.key"))
	if r.code != 0 {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got, want := o.h.must(t, "reset", "--yes", at), "what km has made in "+o.folder+" is deleted; what it has not made stays: pki/ca.crt, pki/ca.key\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
