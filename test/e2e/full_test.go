package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
	"go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	smallQuota = "--etcd.quota-backend-bytes=16000000"
	exceeded   = "database space exceeded"
	isFull     = "etcd is ready, but: its database has reached its quota of "
)

// fill writes until etcd is full: always the same object, or always another one. It returns how often it has written.
func (h home) fill(t *testing.T, name func(n int) string) (written int) {
	t.Helper()
	maps := h.client(t).CoreV1().ConfigMaps("default")
	var err error
	text := strings.Repeat("text ", 190_000)
	for ; written < 40; written++ {
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(written)}, Data: map[string]string{"x": fmt.Sprint(written, text)}}
		err = patiently(t, "a write", func(ctx context.Context) error {
			_, err := maps.Get(ctx, o.Name, metav1.GetOptions{})
			if err == nil {
				_, err = maps.Update(ctx, o, metav1.UpdateOptions{})
			} else {
				_, err = maps.Create(ctx, o, metav1.CreateOptions{})
			}
			return err
		})
		if err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), exceeded) {
		t.Fatalf("it is not full: %v", err)
	}
	return written
}

// A store that has reached its quota is told of wherever people look, at once, and what they are told to type makes
// room, whether km runs or not. A start makes room by itself where there is something that is not needed. Where there
// is not, all become ready all the same. A snapshot of a full store is one of a store that can be written to.
func TestFullStore(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	write := func(name string) result { return h.km(t, "kubectl", "create", "configmap", name) }
	told := func(p *process) {
		t.Helper()
		if out := h.must(t, "status", "--wait=ready"); !strings.Contains(out, "\n"+isFull) || !strings.Contains(out, "make room with `km repair`\n") {
			t.Errorf("status: %s", out)
		}
		if text := h.ask(t, "/readyz"); !strings.Contains(text, "[+]etcd ok, but: its database") || !strings.HasSuffix(text, "readyz check passed\n") {
			t.Errorf("/readyz: %s", text)
		}
		p.await(p.stderr, isFull)
	}
	writable := func(name string) {
		t.Helper()
		if r := write(name); r.code != 0 {
			t.Error(r.stderr)
		}
		if out := h.must(t, "status"); strings.Contains(out, "but:") {
			t.Errorf("status: %s", out)
		}
		if text := h.ask(t, "/readyz"); text != "ok" {
			t.Errorf("/readyz: %s", text)
		}
	}
	stop := func(p *process) {
		t.Helper()
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Fatalf("exit code %d, want 0", code)
		}
		if n := strings.Count(p.stderr.String(), isFull); n > 1 {
			t.Errorf("told %d times", n)
		}
	}

	// What was written over is not needed: the next start makes room.
	p := h.run(t, "apiserver", smallQuota)
	h.fill(t, func(int) string { return "big" })
	told(p)
	stop(p)
	p = h.run(t, smallQuota)
	writable("after-a-start")

	made := h.fill(t, func(n int) string { return fmt.Sprint("fill-", n) })
	told(p)
	snapshot := filepath.Join(t.TempDir(), "full.db")
	h.must(t, "snapshot", "save", snapshot)
	stop(p)

	// It stays above its quota, and all that km needs is there.
	p = h.run(t, "--etcd.quota-backend-bytes=4000000")
	told(p)
	r := h.km(t, "repair")
	if r.code != 1 || !strings.Contains(r.stderr, "it is still full, and all of it is in use") || !strings.Contains(r.stderr, "--etcd.quota-backend-bytes") {
		t.Errorf("repair: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	typed := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(r.stderr, -1)
	if len(typed) != 2 {
		t.Fatalf("repair says to type %q", typed)
	}
	for n := range made {
		command := strings.NewReplacer("KIND", "configmap", "NAME", fmt.Sprint("fill-", n)).Replace(typed[0][1])
		if r := h.do(t, "sh", "-c", command); r.code != 0 {
			t.Errorf("%s: %s", command, r.stderr)
		}
	}
	if r := h.do(t, "sh", "-c", typed[1][1]); r.code != 0 || !strings.Contains(r.stdout, "it can be written to again") {
		t.Errorf("%s: exit code %d\n%s%s", typed[1][1], r.code, r.stdout, r.stderr)
	}
	writable("after-a-repair")
	stop(p)

	h.must(t, "snapshot", "restore", snapshot, "--yes")
	database := filepath.Join(h.dataDir("km"), "etcd", "member", "snap", "db")
	if n := alarms(t, database); n != 0 {
		t.Errorf("the restored store has %d alarms", n)
	}
	// What a start writes needs room: what was restored may have any size below the quota that it had.
	p = h.run(t, "apiserver", "--etcd.quota-backend-bytes=18000000")
	writable("after-a-restore")
	h.fill(t, func(n int) string { return fmt.Sprint("more-", n) })
	stop(p)

	if n := alarms(t, database); n != 1 {
		t.Errorf("the store has %d alarms, want 1", n)
	}
	lock := flock.New(database)
	if mine, err := lock.TryLock(); !mine || err != nil {
		t.Fatal(mine, err)
	}
	if r := h.km(t, "repair"); r.code != 1 || !strings.Contains(r.stderr, "another process has "+database+" open: end that one") {
		t.Errorf("repair: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if out := h.must(t, "repair"); !strings.Contains(out, "it can be written to again") {
		t.Errorf("repair: %s", out)
	}
	if n := alarms(t, database); n != 0 {
		t.Errorf("the repaired store has %d alarms", n)
	}

	// As people are told, too. Most of the database is free meanwhile, which a start gives back.
	const much = 300 << 20
	bloat(t, database, much)
	p = h.run(t, "apiserver", "--etcd.quota-backend-bytes=8589934592")
	writable("after-all")
	if info, err := os.Stat(database); err != nil || info.Size() >= much {
		t.Errorf("the database has %d bytes, %v", info.Size(), err)
	}
	stop(p)
}

// bloat makes a database larger, by free pages.
func bloat(t *testing.T, database string, bytes int) {
	t.Helper()
	db, err := bbolt.Open(database, 0o600, &bbolt.Options{Timeout: patience, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	bucket, value := []byte("bloat"), make([]byte, 1<<20)
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for n := 0; n < bytes>>20 && err == nil; n++ {
			err = b.Put(fmt.Append(nil, n), value)
		}
		return err
	})
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucket) })
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// alarms is how many are on in a database that nobody has open.
func alarms(t *testing.T, database string) (n int) {
	t.Helper()
	db, err := bbolt.Open(database, 0o600, &bbolt.Options{ReadOnly: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("alarm")).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
