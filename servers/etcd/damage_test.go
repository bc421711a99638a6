package etcd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/etcd/snapshot"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// What is damaged is told once, with what can be done, and not tried again; what etcd heals is left to it; and where a
// start would make it worse, nothing is changed.
func TestDamage(t *testing.T) {
	prepared := shortDir(t)
	const keys = 50
	if out, err := runEtcd(t, prepared, func(ctx context.Context, client *clientv3.Client) error {
		for i := range keys {
			if _, err := client.Put(ctx, fmt.Sprint("key", i), strings.Repeat("x", 1000)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	logFile := func(member string) string {
		files, err := filepath.Glob(filepath.Join(member, "wal", "*.wal"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		return files[0]
	}
	database := func(member string) string { return filepath.Join(member, "snap", "db") }
	overwrite := func(file string, at int64, text string) error {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(text), at)
		return errors.Join(err, f.Close())
	}
	garbage := strings.Repeat("garbage!", 512)
	const whole = "" // etcd heals it
	for _, test := range []struct {
		name  string
		spoil func(member string) error
		want  string // in the error
		keeps bool   // nothing changes
	}{
		{"nothing", func(string) error { return nil }, whole, false},
		{"no log", func(m string) error { return os.RemoveAll(filepath.Join(m, "wal")) }, "member/wal, is missing beside the database", true},
		{"empty log folder", func(m string) error { return os.Remove(logFile(m)) }, "member/wal, is missing beside the database", true},
		{"no database", func(m string) error { return os.Remove(database(m)) }, whole, false},
		{"empty database", func(m string) error { return os.Truncate(database(m), 0) }, whole, false},
		{"half a database", func(m string) error { return os.Truncate(database(m), 40<<10) }, "snap/db is cut off: it has 41 kB of ", true},
		{"a page of a database", func(m string) error { return os.Truncate(database(m), 4096) }, "snap/db: ", true},
		// the second one is its copy
		{"first page", func(m string) error { return overwrite(database(m), 0, garbage) }, whole, false},
		{"first two pages", func(m string) error { return overwrite(database(m), 0, garbage+garbage) }, "snap/db: invalid database", true},
		{"all pages but the first two", func(m string) error {
			return overwrite(database(m), 8192, strings.Repeat(garbage, 30))
		}, "snap/db: ", true},
		{"beginning of the log", func(m string) error { return overwrite(logFile(m), 0, garbage) }, "log, in ", true},
		{"a byte in the log", func(m string) error { return overwrite(logFile(m), 20_000, "#") }, "log, in ", true},
		{"log cut in the middle", func(m string) error { return os.Truncate(logFile(m), 20_000) }, "log, in ", true},
		{"log cut at the beginning", func(m string) error { return os.Truncate(logFile(m), 0) }, "log, in ", true},
		{"log from another time", func(m string) error {
			return os.Rename(logFile(m), filepath.Join(m, "wal", fmt.Sprintf("%016x-%016x.wal", 0, 5)))
		}, "failed to open WAL: ", false},
		{"torn end of the log", func(m string) error {
			end, err := endOfLog(logFile(m))
			// of 2 kB, whose sectors are zero
			return errors.Join(err, overwrite(logFile(m), end, "\x00\x08\x00\x00\x00\x00\x00\x00"+strings.Repeat("x", 100)))
		}, whole, false},
		{"log that ends in a record", func(m string) error {
			end, err := endOfLog(logFile(m))
			return errors.Join(err, os.Truncate(logFile(m), end), overwrite(logFile(m), end, "\x30\x01\x00\x00\x00"))
		}, whole, false},
		{"newer etcd", func(m string) error {
			return setMeta(database(m), string(schema.MetaStorageVersionName), "3.99.0")
		}, "is of etcd 3.99, and this km carries 3.7: use a newer km", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := shortDir(t)
			if err := os.CopyFS(dir, os.DirFS(prepared)); err != nil && !strings.Contains(err.Error(), ".sock") {
				t.Fatal(err)
			}
			if err := test.spoil(filepath.Join(dir, "etcd", "member")); err != nil {
				t.Fatal(err)
			}
			before := fingerprint(t, filepath.Join(dir, "etcd"))
			found := int64(0)
			out, err := runEtcd(t, dir, func(ctx context.Context, client *clientv3.Client) error {
				answer, err := client.Get(ctx, "key", clientv3.WithPrefix())
				if err == nil {
					found = answer.Count
					_, err = client.Put(ctx, "more", "")
				}
				return err
			})
			switch {
			case test.want == whole:
				if err != nil || found != keys {
					t.Errorf("%d keys, error %v:\n%s", found, err, out)
				}
				return
			case err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("error %v, want %q:\n%s", err, test.want, out)
			case !strings.Contains(err.Error(), "use a newer km") &&
				!strings.Contains(err.Error(), "`hk snapshot restore FILE --data-dir="+dir+"`") || strings.Contains(err.Error(), "times"):
				t.Errorf("error %v", err)
			}
			if strings.Contains(out, "backoff") {
				t.Errorf("it was tried again:\n%s", out)
			}
			if after := fingerprint(t, filepath.Join(dir, "etcd")); test.keeps && after != before {
				t.Errorf("the data has changed")
			}
		})
	}
}

// What looks at the data of a cluster that does not run finds the same damage, and says the same ways out.
func TestDamageWhileStopped(t *testing.T) {
	dir := shortDir(t)
	if out, err := runEtcd(t, dir, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Put(ctx, "key", "value")
		return err
	}); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	member := filepath.Join(dir, "etcd", "member")
	for _, spoil := range []func() error{
		func() error { return os.Truncate(filepath.Join(member, "snap", "db"), 8192) },
		func() error { return os.RemoveAll(filepath.Join(member, "wal")) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"repair"}, {"snapshot", "save", filepath.Join(dir, "saved")}} {
			hk := &supervisor.HyperKube{Name: "hk"}
			hk.SetOut(io.Discard)
			hk.AddCommand(snapshot.Command())
			hk.AddCommand(etcd.RepairCommand())
			hk.AddServer(etcd.New(cluster.New()))
			err := hk.Run(append(append([]string{"hk"}, command...), "--data-dir", dir))
			if err == nil || !strings.Contains(err.Error(), "etcd's data is damaged: ") || !strings.Contains(err.Error(), "`hk snapshot restore FILE --data-dir="+dir+"`") {
				t.Errorf("%s: %v", command[0], err)
			}
		}
	}
}

// endOfLog is where the last record ends.
func endOfLog(file string) (int64, error) {
	text, err := os.ReadFile(file)
	return int64(len(bytes.TrimRight(text, "\x00"))+7) / 8 * 8, err
}

// setMeta sets what a database says of itself.
func setMeta(database, key, value string) error {
	db, err := bbolt.Open(database, 0o600, nil)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(schema.Meta.Name()).Put([]byte(key), []byte(value)) }), db.Close())
}

// fingerprint is one of all files below the folder.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		fmt.Fprintln(hash, path)
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintln(hash, len(text))
		hash.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// shortDir is a folder in which a socket can be.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// runEtcd runs etcd, calls f with a client when it is ready, and ends. It returns what was printed.
func runEtcd(t *testing.T, dir string, f func(context.Context, *clientv3.Client) error) (string, error) {
	t.Helper()
	var out bytes.Buffer
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.SetOut(&out)
	hk.AddCommand(snapshot.Command())
	hk.AddServer(etcd.New(cluster.New()))
	hk.AddServer(&supervisor.Server{SimpleUsage: "ender", Needs: []supervisor.Need{{Server: names.Etcd}}, Restart: supervisor.RestartNever,
		Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
			client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(dir, "etcd.sock")}, Logger: zap.NewNop()})
			if err != nil {
				return err
			}
			defer client.Close()
			asking, cancel := context.WithTimeout(ctx, 2*time.Minute) // no expectation of speed: a busy machine is slow
			defer cancel()
			if err := f(asking, client); err != nil {
				return err
			}
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Signal(os.Interrupt)
			}
			<-ctx.Done()
			return err
		}})
	err := hk.Run([]string{"hk", "run", "--data-dir", dir})
	return out.String(), err
}
