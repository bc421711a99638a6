package etcd

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/seed-200a7251/km/servers/cluster"
)

// A start defragments a database that is large, where half of it is free, and the file system has room for the rest.
func TestDefragAtStart(t *testing.T) {
	for _, test := range []struct {
		megabytes int64
		want      uint
	}{{0, 0}, {100, 0}, {255, 0}, {256, 128}, {301, 150}, {1 << 33, 0}} {
		c := &embed.Config{Dir: t.TempDir()}
		database := DatabaseIn(c.Dir)
		if test.megabytes > 0 {
			if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(database)
			if err != nil {
				t.Fatal(err)
			}
			err = f.Truncate(test.megabytes << 20) // nothing is written
			f.Close()
			if err != nil {
				t.Logf("%d MB: %v", test.megabytes, err) // the file system has no files as large as that
				continue
			}
		}
		defragAtStart(c, New(cluster.New()))
		if c.BootstrapDefragThresholdMegabytes != test.want {
			t.Errorf("%d MB: defragmented from %d MB on, want %d", test.megabytes, c.BootstrapDefragThresholdMegabytes, test.want)
		}
	}
}

// Whether a database is full, or nearly, goes by the quota, which may be none.
func TestRoom(t *testing.T) {
	for _, test := range []struct {
		room         room
		full, nearly bool
	}{
		{room{after: 5, quota: 100, wasFull: true}, false, false},
		{room{after: 90, quota: 100, wasFull: true}, false, true},
		{room{after: 100, quota: 100, wasFull: true}, true, true},
		{room{after: 100, quota: 100}, false, true},
		{room{after: 100, quota: -1, wasFull: true}, false, false},
	} {
		if full, nearly := test.room.full(), test.room.nearlyFull(); full != test.full || nearly != test.nearly {
			t.Errorf("%+v: full %v, nearly %v", test.room, full, nearly)
		}
	}
}

// The alarm of another member stays: its database is not this one. That of who is no member goes.
func TestAlarmsOfOthers(t *testing.T) {
	dir := socketDir(t)
	c := configIn(dir)
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	defer closeEtcd(etcd)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	select {
	case <-etcd.Server.ReadyNotify():
	case <-ctx.Done():
		t.Fatal("etcd does not get ready")
	}
	s := storeOf(etcd)
	defer s.Close()
	other, err := s.MemberAddAsLearner(ctx, []string{"http://127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	const gone = 7
	for _, id := range []uint64{uint64(etcd.Server.MemberID()), other.Member.ID, gone} {
		if _, err := etcd.Server.Alarm(ctx, &etcdserverpb.AlarmRequest{
			Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: id, Alarm: etcdserverpb.AlarmType_NOSPACE,
		}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.makeRoom(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r.elsewhere != 1 {
		t.Errorf("%d others are full, want 1", r.elsewhere)
	}
	left, err := s.alarms(ctx)
	if err != nil || len(left) != 1 || left[0].MemberID != other.Member.ID {
		t.Errorf("what is left are %v (%v)", left, err)
	}
}
