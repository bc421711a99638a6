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

// kill kills the process of a server that has one of its own.
func kill(t testing.TB, c *kmtest.Cluster, server string) {
	t.Helper()
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(c.DataDir, "km.sock"))
	}}}
	answer, err := h.Get("http://km/v1/servers/" + server)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var s supervisor.ServerStatus
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
