package supervisor

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// The health endpoints print what those of Kubernetes do, but for the reason.
func TestHealth(t *testing.T) {
	broken := &Server{SimpleUsage: "broken", Restart: RestartNever,
		Run: func(context.Context, *Server, []string) error { return errors.New("out of ink\nand of paper") }}
	s := serveWith(t, func(g *life.Group) { g.KeepGoing = true }, steady("db"), broken)
	s.await("db", Ready)
	s.await("broken", Failed)
	const plain = "text/plain; charset=utf-8"
	for _, test := range []struct {
		path string
		code int
		want string
	}{
		{"/healthz", 200, "ok"},
		{"/healthz?verbose", 200, "[+]supervisor ok\nhealthz check passed\n"},
		{"/readyz", 500, "[+]shutdown ok\n[+]db ok\n[-]broken failed: it is failed: out of ink and of paper\nreadyz check failed\n"},
		{"/readyz?exclude=broken", 200, "ok"},
		{"/readyz?verbose&exclude=broken&exclude=shutdown", 200,
			"[+]shutdown excluded: ok\n[+]db ok\n[+]broken excluded: ok\nreadyz check passed\n"},
		{"/readyz?verbose=true&exclude=broken&exclude=x&exclude=a", 200, "[+]shutdown ok\n[+]db ok\n[+]broken excluded: ok\n" +
			"warn: some health checks cannot be excluded: no matches for \"a\",\"x\"\nreadyz check passed\n"},
		{"/readyz/db", 200, "ok"},
		{"/readyz/db?verbose", 200, "[+]db ok\nreadyz check passed\n"},
		{"/readyz/broken", 500, "[-]broken failed: it is failed: out of ink and of paper\nreadyz check failed\n"},
	} {
		a := s.send("GET", test.path, "")
		if a.code != test.code || a.text != test.want || a.header.Get("Content-Type") != plain || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: code %d, want %d; %v\n%q, want\n%q", test.path, a.code, test.code, a.header, a.text, test.want)
		}
	}
	if err := s.stop(); err == nil || err.Error() != "broken failed: out of ink\nand of paper" {
		t.Error(err)
	}
}
