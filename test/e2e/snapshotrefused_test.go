package e2e

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// ofVersion changes the storage version in a snapshot.
func ofVersion(t *testing.T, text []byte, version string) []byte {
	t.Helper()
	file := writeFile(t, filepath.Join(t.TempDir(), "db"), string(text[:len(text)-sha256.Size]))
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(schema.Meta.Name()).Put(schema.MetaStorageVersionName, []byte(version))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	return withSum(text)
}

func withSum(text []byte) []byte {
	sum := sha256.Sum256(text)
	return append(slices.Clone(text), sum[:]...)
}

// What is not a whole snapshot, or of an etcd that this one cannot follow, is refused, and nothing has changed.
func TestSnapshotRefused(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "old", "new")
	good, err := os.ReadFile(files["old"])
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	p := h.etcd(t)
	fresh := newHome(t)
	for _, test := range []struct {
		name string
		text []byte
		want string
	}{
		{"flipped", flipped, "is damaged, or no snapshot of etcd: its checksum does not fit"},
		{"cut", good[:len(good)-1000], "or not the whole of one: it does not end in a checksum"},
		{"cut at a page", append(slices.Clone(good[:8192]), good[:sha256.Size]...), "is damaged"},
		{"database", good[:len(good)-sha256.Size], "does not end in a checksum"},
		{"text", []byte("apiVersion: v1\n"), "is no snapshot of etcd, or"},
		{"text with a sum", withSum(make([]byte, 4096)), "is no snapshot of etcd: "},
		{"empty", nil, "is empty"},
		{"3.8", ofVersion(t, good, "3.8.0"), "is of etcd 3.8, and this km carries 3.7: use a newer km"},
		{"4.0", ofVersion(t, good, "4.0.0"), "is of etcd 4.0, and this km carries 3.7"},
		{"3.4", ofVersion(t, good, "3.4.0"), "nothing was restored: etcd cannot be started with "},
		{"2.9", ofVersion(t, good, "2.9.0"), "nothing was restored: etcd cannot be started with "},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "snapshot.db")
			if err := os.WriteFile(file, test.text, 0o600); err != nil {
				t.Fatal(err)
			}
			for name, h := range map[string]home{"run": h.home, "fresh": fresh} {
				r := h.km(t, "snapshot", "restore", file, "--yes")
				if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, test.want) || !strings.Contains(r.stderr, file) {
					t.Errorf("%s: %+v; want %q", name, r, test.want)
				}
			}
			if left, err := filepath.Glob(filepath.Join(h.dataDir("km"), "etcd-*")); err != nil || len(left) > 0 {
				t.Errorf("left: %v (%v)", left, err)
			}
			if left, err := filepath.Glob(filepath.Join(h.dataDir("km"), "etcd.restoring")); err != nil || len(left) > 0 {
				t.Errorf("left: %v (%v)", left, err)
			}
			if _, err := os.Stat(filepath.Join(fresh.dataDir("km"), "etcd")); !os.IsNotExist(err) {
				t.Errorf("there is data in the fresh home (%v)", err)
			}
		})
	}
	if s := h.server(t, "etcd"); s.Restarts != 0 || h.get(t) != "new" {
		t.Errorf("etcd was touched: %+v", s)
	}
	p.stop(syscall.SIGTERM)

	// What this etcd can follow is not.
	older := filepath.Join(t.TempDir(), "3.6.db")
	if err := os.WriteFile(older, ofVersion(t, good, "3.6.0"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must(t, "snapshot", "restore", older, "--yes")
	if got := h.value(t); got != "old" {
		t.Errorf("restored from 3.6: %q", got)
	}
}

// What is wrong with the file to be written, or with the cluster, is told, and no part of a file is left.
func TestSnapshotSaveRefused(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one")
	there := files["one"]
	before, err := os.ReadFile(there)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	refuses := func(want string, args ...string) {
		t.Helper()
		r := h.km(t, append([]string{"snapshot", "save"}, args...)...)
		if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: %+v; want %q", args, r, want)
		}
	}
	check := func() {
		t.Helper()
		refuses(there+" is there already: name another file, or replace it with --force", there)
		refuses(dir+" is there, and is not a file", dir, "--force")
		refuses("/nowhere/x cannot be written: no such file or directory", "/nowhere/x")
		refuses("no cluster was started there", filepath.Join(dir, "x"), "--name=other")
		if now, err := os.ReadFile(there); err != nil || string(now) != string(before) {
			t.Error("the file that was there has changed", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	}
	check()
	p := h.etcd(t)
	check()
	h.must(t, "stop", "etcd", "--yes")
	refuses("etcd is stopped: start it with `km start etcd`", filepath.Join(dir, "x"))
	p.stop(syscall.SIGTERM)
	h.must(t, "snapshot", "save", "--force", there)
	if now, err := os.ReadFile(there); err != nil || string(now) == string(before) {
		t.Error("--force has not replaced it", err)
	}

	// An etcd whose log is apart, or that is elsewhere.
	log := filepath.Join(h.dir, "log")
	p = h.etcd(t, "--etcd.data-dir="+filepath.Join(h.dir, "apart"), "--etcd.wal-dir="+log)
	x := filepath.Join(dir, "x")
	h.must(t, "snapshot", "save", x)
	apart := func() {
		t.Helper()
		if r := h.km(t, "snapshot", "restore", x, "--yes"); r.code != 1 || !strings.Contains(r.stderr, "etcd's log is in "+log+" (--etcd.wal-dir)") {
			t.Errorf("with its log apart: %+v", r)
		}
	}
	apart()
	p.stop(syscall.SIGTERM)
	apart()
	refuses("etcd's log is in "+log, filepath.Join(dir, "y"))
	kubeconfig := writeFile(t, filepath.Join(h.dir, "kubeconfig"), "apiVersion: v1\nkind: Config\nclusters: [{name: x, cluster: {server: https://127.0.0.1:1}}]\n"+
		"users: [{name: x, user: {}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\ncurrent-context: x\n")
	p = h.start(t, binary, "run", "--free-ports", "scheduler", "--scheduler.kubeconfig="+kubeconfig)
	eventually(t, "km answers", func() bool { return h.km(t, "status").code == 0 })
	refuses("without an etcd of its own here", filepath.Join(dir, "y"))
	if r := h.km(t, "snapshot", "restore", x, "--yes"); r.code != 1 || !strings.Contains(r.stderr, "without an etcd of its own here") {
		t.Errorf("with an etcd elsewhere: %+v", r)
	}
	p.stop(syscall.SIGTERM)
}
