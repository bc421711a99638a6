package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// Where etcd would end the process because it cannot read its data, it has failed, and says why: what it logs last.
func TestUnreadableData(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(member string) error
		reason string
	}{
		{"a line at level Fatal", func(member string) error {
			// A name from which the beginning of the log is missing.
			name := func(index int) string { return filepath.Join(member, "wal", fmt.Sprintf("%016x-%016x.wal", 0, index)) }
			return os.Rename(name(0), name(5))
		}, "failed to open WAL: "},
		{"one at level Panic", func(member string) error {
			return os.WriteFile(filepath.Join(member, "snap", "db"), bytes.Repeat([]byte("garbage!"), 16<<10), 0o600)
		}, "failed to open database: "},
		{"a panic of etcd's own", func(member string) error {
			files, err := filepath.Glob(filepath.Join(member, "wal", "*.wal"))
			for _, file := range files {
				err = errors.Join(err, os.WriteFile(file, bytes.Repeat([]byte("garbage!"), 16<<10), 0o600))
			}
			return err
		}, "panic: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "etcd") // t.TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			// The first run makes the data, and is stopped by a server that needs it and has nothing else to do.
			if out, err := runEtcd(t, dir); err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			if err := test.spoil(filepath.Join(dir, "etcd", "member")); err != nil {
				t.Fatal(err)
			}
			// It is started again, as far as that makes sense.
			out, err := runEtcd(t, dir)
			if err == nil || !strings.HasPrefix(err.Error(), "etcd failed: "+test.reason) {
				t.Errorf("error %v:\n%s", err, out)
			}
		})
	}
}

// runEtcd runs etcd, and something that needs it and ends the run when etcd is ready. It returns what was printed.
func runEtcd(t *testing.T, dir string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.SetOut(&out)
	hk.AddServer(New(cluster.New()))
	hk.AddServer(&supervisor.Server{SimpleUsage: "ender", Needs: []supervisor.Need{{Server: Name}},
		Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
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
