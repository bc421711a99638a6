package etcd

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// configIn is the configuration of a member that listens on a socket only.
func configIn(dir string) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = "a", filepath.Join(dir, "etcd")
	client := url.URL{Scheme: "unix", Path: filepath.Join(dir, "s")}
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.UnsafeNoFsync, c.ZapLoggerBuilder = true, embed.NewZapLoggerBuilder(zap.NewNop())
	return c
}

// unreadyIn starts, in a folder of its own, a member of two of which the other one does not run.
func unreadyIn(t *testing.T, dir string) *embed.Etcd {
	t.Helper()
	c := configIn(dir)
	c.InitialCluster = "a=http://127.0.0.1:1,b=http://127.0.0.1:2"
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	return etcd
}

func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute): // no expectation of speed: it bounds a hang
		t.Fatalf("%s does not return", what)
	}
}

// An etcd that has never been ready can be closed, which upstream's Close waits for for ever.
func TestCloseUnready(t *testing.T) {
	etcd := unreadyIn(t, socketDir(t))
	within(t, "closeEtcd", func() { closeEtcd(etcd) })
}

// Data of several members says so. What would wait for the others for ever is refused, and can be broken off where it
// is not.
func TestDataOfSeveral(t *testing.T) {
	dir := socketDir(t)
	etcd := unreadyIn(t, dir)
	own := etcd.Server.MemberID()
	within(t, "the first change of members", func() {
		for etcd.Server.AppliedIndex() < 2 {
			runtime.Gosched()
		}
	})
	within(t, "closeEtcd", func() { closeEtcd(etcd) })
	at := place{Data: filepath.Join(dir, "etcd")}
	if m := at.membership(); m != (membership{count: 2}) {
		t.Errorf("%+v, want 2 members", m)
	}
	if id, known := ownID(at.log()); !known || id != types.ID(own) {
		t.Errorf("its ID is %v (%v), want %v", id, known, own)
	}
	if at.refuseStopped() == nil {
		t.Error("a command starts an etcd that waits for another one")
	}
	for _, none := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if m := (place{Data: none}).membership(); m != (membership{}) {
			t.Errorf("%+v where there is no data", m)
		}
	}

	hk := &supervisor.HyperKube{Name: "km"}
	p, err := hk.Location()
	if err != nil {
		t.Fatal(err)
	}
	p.DataDir = dir
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it starts etcd all the same
	within(t, "Serve", func() {
		if err := NewAccess(hk, p).Serve(ctx, at.Data, func(string) error { return nil }); err == nil {
			t.Error("a member without a quorum has been ready")
		}
	})
}

// Where there are other members, or may be, nothing is done that is for one that is alone.
func TestPeered(t *testing.T) {
	for name, test := range map[string]struct {
		flags         map[string]string
		peered, alone bool
	}{
		"nothing":       {nil, false, true},
		"peer URLs":     {map[string]string{"listen-peer-urls": "http://127.0.0.1:1"}, true, false},
		"members":       {map[string]string{"initial-cluster": "km=http://localhost:2380,b=http://127.0.0.1:1"}, true, false},
		"discovery":     {map[string]string{"discovery-srv": "example.com"}, true, false},
		"a file":        {map[string]string{"config-file": "x"}, true, false},
		"its own times": {map[string]string{"heartbeat-interval": "100"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := planned(t, test.flags)
			if peered(s) != test.peered || alone(s) != test.alone {
				t.Errorf("peered %v, alone %v", peered(s), alone(s))
			}
			if name == "a file" {
				return
			}
			c, err := load(s)
			if err != nil || (len(c.ListenPeerUrls) > 0) != test.peered {
				t.Errorf("it listens for others at %v (%v)", c.ListenPeerUrls, err)
			}
		})
	}
}

// planned is an etcd with these flags, as far as a run has it before anything starts.
func planned(t *testing.T, flags map[string]string) *supervisor.Server {
	t.Helper()
	s, stop := New(cluster.New()), errors.New("that is all")
	s.Check, s.Prepare = nil, func(context.Context, *supervisor.Plan, *supervisor.Server) error { return stop }
	hk := &supervisor.HyperKube{Name: "km"}
	hk.SetOut(io.Discard)
	hk.AddServer(s)
	args := []string{"--data-dir=" + t.TempDir()}
	for flag, value := range flags {
		args = append(args, "--etcd."+flag+"="+value)
	}
	if _, err := hk.Start(t.Context(), args...); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	return s
}
