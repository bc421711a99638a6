package supervisor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

func TestStatusTables(t *testing.T) {
	at := time.Unix(100_000, 0)
	now = func() time.Time { return at }
	defer func() { now = time.Now }()
	s := &Status{Program: "hk", PID: 7, Servers: []ServerStatus{
		{Name: "db", State: Ready, Since: at.Add(-119 * time.Second), StartSeconds: 1.234, Restart: RestartNever, Isolation: "process",
			PID: 8, LogLevel: "info", Address: "127.0.0.1:1"},
		{Name: "api", State: Backoff, Since: at.Add(-2 * time.Hour), Restarts: 3, Needs: []string{"db", "queue"},
			LastFailure: &admin.Failure{Time: at.Add(-10 * time.Second), Error: "out of ink"}, Error: "out of ink\nand of paper", Address: "old",
			Restart: RestartAlways, Isolation: "none", LogLevel: "v=4"},
	}}
	for _, test := range []struct {
		name  string
		write func(*bytes.Buffer) error
		want  string
	}{
		{"table", func(b *bytes.Buffer) error { return writeTable(b, s) }, `
SERVER   STATE     SINCE   RESTARTS             ADDRESS
db       ready     119s    0                    127.0.0.1:1
api      backoff   2h      3 (failed 10s ago)   out of ink
`},
		{"wide", func(b *bytes.Buffer) error { return writeWide(b, s) }, `
SERVER   STATE     SINCE   RESTARTS             START   NEEDS      POLICY   ISOLATION   PID   LOG-LEVEL   ADDRESS
db       ready     119s    0                    1.23s   -          never    process     8     info        127.0.0.1:1
api      backoff   2h      3 (failed 10s ago)   -       db,queue   always   none        7     v=4         out of ink
`},
	} {
		var out bytes.Buffer
		if err := test.write(&out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	s.Crash = &crash.Crash{Time: at.Add(-time.Hour), PID: 6, Server: "db"}
	var out bytes.Buffer
	if err := writeTable(&out, s); err != nil || !strings.HasPrefix(out.String(), "hk: "+s.Crash.String()+"\n\nSERVER ") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// A server that has no address yet does not move those below it.
func TestStatusTableStaysAligned(t *testing.T) {
	at := time.Unix(100_000, 0)
	now = func() time.Time { return at }
	defer func() { now = time.Now }()
	s := &Status{Servers: []ServerStatus{
		{Name: "db", State: Ready, Since: at, LastFailure: &admin.Failure{Time: at}, Address: "127.0.0.1:1"},
		{Name: "job", State: Stopped, Since: at},
		{Name: "web", State: Ready, Since: at, Address: "127.0.0.1:2"},
	}}
	var out bytes.Buffer
	if err := writeTable(&out, s); err != nil {
		t.Fatal(err)
	}
	want := `SERVER   STATE     SINCE   RESTARTS            ADDRESS
db       ready     0s      0 (failed 0s ago)   127.0.0.1:1
job      stopped   0s      0
web      ready     0s      0                   127.0.0.1:2
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// deaf listens on the socket of the admin API like a run that is killed whenever it has read so many bytes of what it
// is asked, so many times, and then is gone.
func deaf(t *testing.T, p *Plan, bytes, times int) {
	t.Helper()
	if err := os.MkdirAll(p.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := system.ListenUnix(p.socketFile("hk"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range times {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Read(make([]byte, bytes))
				_ = c.Close()
			}
		}
		_ = l.Close()
	}()
	t.Cleanup(func() { receive(t, "the last question", done); system.RemoveUnix(p.socketFile("hk")) })
}

func locate(t *testing.T, hk *HyperKube) *Plan {
	t.Helper()
	p, err := hk.plan(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.run.logs.Close()
	return p
}

// A run that is killed while it is asked is told of in words.
func TestRunThatIsKilled(t *testing.T) {
	for _, args := range [][]string{{"status"}, {"restart", "db"}, {"stop", "--yes", "db"}, {"log-level", "db", "info"}, {"top"}, {"profile", "-o", "-"}, {"analyze"}} {
		for _, bytes := range []int{1, 4096} { // the connection is reset, or it ends
			hk := newHyperKube(t, steady("db"))
			deaf(t, locate(t, hk), bytes, 1)
			out, err := call(hk, append([]string{"hk"}, args...)...)
			wantCode(t, err, 1)
			if out != "Error: hk ended before it answered; `hk logs` may say why\n" {
				t.Errorf("%v: %s", args, out)
			}
		}
	}
}

// Who waits does so, too, if a question is not answered: the end is there when the folder is free.
func TestWaitForTheEnd(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	p := locate(t, hk)
	release, err := hk.hold(p)
	if err != nil {
		t.Fatal(err)
	}
	deaf(t, p, 1, 2)
	out, err := call(hk, "hk", "status", "--wait=stopped", "--timeout=300ms")
	wantCode(t, err, 1)
	if out != "Error: not stopped after 300ms: it is about to end, or has just begun\n" {
		t.Error(out)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if out, err := call(hk, "hk", "status", "--wait=stopped"); err != nil || out != "" {
		t.Error(err, out)
	}
	// To look has not taken it, and has made nothing.
	if release, err = hk.hold(p); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if held(&Plan{DataDir: t.TempDir() + "/none"}, "hk") {
		t.Error("a folder that is not there is held")
	}
}

// A wait for ready does not outlast the hope for it.
func TestWaitInVain(t *testing.T) {
	slow := make(chan struct{})
	db := steady("db")
	db.Run = func(ctx context.Context, _ *Server, _ []string) error { <-ctx.Done(); <-slow; return nil }
	s := serve(t, db)
	s.await("db", Ready)
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	s.await("db", Stopping)
	out, err := call(s.hk, "hk", "status", "--wait=ready")
	wantCode(t, err, 1)
	if out != "Error: all servers are being stopped\n" {
		t.Error(out)
	}
	close(slow)
	if err := receive(t, "the end of the run", ended); err != nil {
		t.Error(err)
	}
}

// failing is a transport that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestClientOfSomebodyElse(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	c := hk.connect(locate(t, hk))
	for err, want := range map[error]string{
		&net.OpError{Op: "dial", Net: "unix", Err: os.ErrPermission}: "/hk.sock belongs to somebody else: only its owner may ask it",
		context.Canceled:      "interrupted; what was asked for is not taken back",
		errors.New("no idea"): `hk cannot be asked: Get "http://hk/v1/status": no idea`,
	} {
		c.HTTP.Transport = failing{err}
		if _, got := c.Status(t.Context()); !strings.HasSuffix(got.Error(), want) {
			t.Errorf("%v: %v, want %s", err, got, want)
		}
	}
}
