package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// An error of the disk says what to do. Another try is made where it may help.
func TestExplain(t *testing.T) {
	p := &supervisor.Plan{DataDir: "/d"}
	at := place{Data: "/d/etcd"}
	for _, test := range []struct {
		err  error
		want string
		once bool
	}{
		{&fs.PathError{Op: "write", Path: "/d/etcd/x", Err: syscall.ENOSPC}, "free space in /d/etcd", false},
		{&fatalError{fmt.Errorf("x: %w", syscall.EDQUOT)}, "raise the disk's quota", false},
		{&fatalError{fmt.Errorf("x: %w", syscall.EROFS)}, "mounted read-only", true},
		{&fatalError{fmt.Errorf("x: %w", syscall.EACCES)}, "owner and mode", true},
		{&fs.PathError{Op: "open", Path: "/d/etcd/member", Err: syscall.EACCES}, "owner and mode", true},
		{&fs.PathError{Op: "open", Path: "/elsewhere/tls.crt", Err: syscall.EACCES}, "tls.crt: permission denied", false},
		{&fatalError{fmt.Errorf("x: %w", syscall.EIO)}, "reports errors", true},
		{&fatalError{errors.New("file descriptor limit of etcd process is too low; please set higher")}, "raise the limit", true},
		{fmt.Errorf("%w: db: %w", errDamaged, syscall.EMFILE), "nothing is wrong with the data", true},
		{&fatalError{errors.New("failed to read WAL")}, "etcd's data is damaged: failed to read WAL. /d/etcd stays", true},
		{errors.New("panic: x"), "etcd's data is damaged", true},
		{fmt.Errorf("x: %w", walpb.ErrCRCMismatch), "etcd's data is damaged", true},
		{&fatalError{fmt.Errorf("x: %w", fileutil.ErrLocked)}, "x: ", false},
		{errors.New("listen: address in use"), "listen: address in use", false},
	} {
		err := at.explain(p, test.err, true)
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.err) {
			t.Errorf("%v: %v", test.err, err)
		}
		if once := fmt.Sprintf("%T", err) == fmt.Sprintf("%T", supervisor.Permanent(err)); once != test.once {
			t.Errorf("%v: %T", test.err, err)
		}
	}
	if err := at.explain(p, nil, true); err != nil {
		t.Error(err)
	}
	// While it runs, what is damaged is not known.
	later := &fatalError{errors.New("failed to purge wal file")}
	if err := at.explain(p, later, false); err != error(later) {
		t.Error(err)
	}
}

// A machine that has joined others gets its data from them.
func TestExplainJoined(t *testing.T) {
	p := &supervisor.Plan{DataDir: t.TempDir()}
	m := cluster.Membership{Role: cluster.ControlPlane, APIServers: []string{"10.0.0.1:6443"}}
	if err := m.Write(p); err != nil {
		t.Fatal(err)
	}
	at := place{Data: p.Path("etcd")}
	err := at.explain(p, errDamaged, true)
	if err == nil || !strings.Contains(err.Error(), "move "+at.Data+" away, and start km again") || strings.Contains(err.Error(), "restore") {
		t.Error(err)
	}
	err = at.explain(p, errRemoved, false)
	if err == nil || !strings.Contains(err.Error(), "reset") || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", supervisor.Permanent(err)) {
		t.Errorf("%T: %v", err, err)
	}
}
