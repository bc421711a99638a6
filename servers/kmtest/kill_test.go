package kmtest_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-200a7251/km/servers/kmtest"
	"github.com/seed-200a7251/km/supervisor"
)

// statusOf is what km says of a server.
func statusOf(t testing.TB, c *kmtest.Cluster, server string) (s supervisor.ServerStatus) {
	t.Helper()
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.DataDir, "km.sock"))
	}}}
	answer, err := h.Get("http://km/v1/servers/" + server)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill kills the process of a server that has one of its own.
func kill(t testing.TB, c *kmtest.Cluster, server string) {
	t.Helper()
	if err := syscall.Kill(statusOf(t, c, server).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// notFailed fails the test if a server had to be started more than once.
func notFailed(t testing.TB, c *kmtest.Cluster, server string) {
	t.Helper()
	if s := statusOf(t, c, server); s.Restarts > 0 || s.LastFailure != nil {
		t.Errorf("%s: %d restarts, %+v", server, s.Restarts, s.LastFailure)
	}
}
