package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listenAsManager is the service manager's end: its socket is in the environment.
func listenAsManager(t *testing.T) *net.UnixConn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", socket)
	return l
}

// The service manager is told of each change, once that all are ready, and once that they stop; the servers do not find
// its socket.
func TestNotify(t *testing.T) {
	l := listenAsManager(t)

	found := "not asked"
	hk := newHyperKube(t,
		&Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *Server, _ []string) error {
			found = os.Getenv("NOTIFY_SOCKET")
			<-ctx.Done()
			return nil
		}},
		&Server{SimpleUsage: "api", Restart: RestartNever, Needs: []Need{{Server: "db"}}, Run: func(context.Context, *Server, []string) error { return errors.New("enough") }})
	_, err := call(hk, "hk", "run")
	wantCode(t, err, 1)
	if found != "" {
		t.Errorf("the server found %q", found)
	}
	// What it has been told, each datagram on a line of its own.
	var told []string
	(&notifier{socket: l.LocalAddr().String()}).send("end of test")
	for buf := make([]byte, 1000); ; {
		n, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == "end of test" {
			break
		}
		told = append(told, strings.ReplaceAll(string(buf[:n]), "\n", " "))
	}
	want := []string{
		"STATUS=0 of 2 servers ready; db starting, api waiting",
		"STATUS=1 of 2 servers ready; api waiting",
		"STATUS=1 of 2 servers ready; api starting",
		"STATUS=2 of 2 servers ready READY=1",
		"STATUS=1 of 2 servers ready; api failed; api: enough",
		"STATUS=0 of 2 servers ready; db stopping, api failed STOPPING=1",
		"STATUS=0 of 2 servers ready; db stopped, api failed",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// The watchdog is told that the process is alive, again and again, and the servers do not find its variables.
func TestWatchdog(t *testing.T) {
	l := listenAsManager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		n := 0
		for buf := make([]byte, 1000); n < 3; {
			size, err := l.Read(buf)
			if err != nil {
				return
			}
			if string(buf[:size]) == "WATCHDOG=1" {
				n++
			}
		}
	}()
	var found []string
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: func(context.Context, *Server, []string) error {
		found = append(found, os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"))
		<-beats
		return nil
	}})
	if out, err := call(hk, "hk", "run"); err != nil {
		t.Error(err, out)
	}
	if diff := cmp.Diff([]string{"", ""}, found); diff != "" {
		t.Errorf("the server's environment (-want +got):\n%s", diff)
	}
}
