package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Commands of other packages look at a run and steer it, or have its folder when it has ended.
func TestRemote(t *testing.T) {
	s := serve(t, steady("db"), steady("api", "db"), steady("other"))
	s.await("api", Ready)
	ctx := context.Background()
	states := func() string {
		t.Helper()
		status, err := s.hk.Status(ctx, s.p)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, server := range status.Servers {
			all = append(all, server.Name+" "+server.State.String())
		}
		return strings.Join(all, ", ")
	}
	s.await("other", Ready)
	if got := states(); got != "db ready, api ready, other ready" {
		t.Error(got)
	}
	if _, err := s.hk.Hold(s.p); err == nil || !strings.Contains(err.Error(), "is in use by process ") {
		t.Error(err)
	}
	if err := s.hk.StopServers(ctx, s.p, "db"); err != nil {
		t.Error(err)
	}
	if got := states(); got != "db stopped, api stopped, other ready" {
		t.Error(got)
	}
	if err := s.hk.StartServers(ctx, s.p, "api"); err != nil {
		t.Error(err)
	}
	if got := states(); got != "db ready, api ready, other ready" {
		t.Error(got)
	}
	if err := s.hk.StopServers(ctx, s.p, "cache"); err == nil || !strings.Contains(err.Error(), `no server "cache" is run here`) {
		t.Error(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hk.Status(ctx, s.p); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	release, err := s.hk.Hold(s.p)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
