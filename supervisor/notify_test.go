package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The service manager is told once that all are ready, and once that they stop; the servers do not find its socket.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)

	found := "not asked"
	hk := newHyperKube(t,
		&Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *Server, _ []string) error {
			found = os.Getenv("NOTIFY_SOCKET")
			<-ctx.Done()
			return nil
		}},
		&Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Run: func(context.Context, *Server, []string) error { return errors.New("enough") }})
	_, err = call(hk, "hk", "run")
	wantCode(t, err, 1)
	if found != "" {
		t.Errorf("the server found %q", found)
	}
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		buf := make([]byte, 100)
		n, err := l.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("told %q (%v), want %q", buf[:n], err, want)
		}
	}
}
