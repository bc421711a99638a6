package supervisor

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// begin starts servers in this process.
func begin(t *testing.T, hk *HyperKube, args ...string) (*Running, string, error) {
	t.Helper()
	var out lockedBuffer
	hk.SetOut(&out)
	r, err := hk.Start(t.Context(), args...)
	return r, out.String(), err
}

// Servers that are started by code are ready when Start returns, and have ended when Stop does.
func TestStart(t *testing.T) {
	runs := false
	db := &Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *Server, _ []string) error {
		runs = true
		<-ctx.Done()
		runs = false
		return nil
	}}
	db.Flags().String("color", "", "")
	hk := newHyperKube(t, db)
	r, _, err := begin(t, hk, "--ephemeral", "--db.color=red")
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Plan().Server("db"); s != db || s.Value("color") != "red" || !r.Plan().Embedded {
		t.Errorf("%v: %+v", s, r.Plan())
	}
	select {
	case <-r.Done():
		t.Error("it has ended")
	default:
	}
	for range 2 {
		if err := r.Stop(); err != nil || runs {
			t.Errorf("it runs: %v (%v)", runs, err)
		}
	}
	receive(t, "the end of the servers", r.Done())
	if _, err := os.Stat(r.Plan().DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there (%v)", err)
	}
}

// They end with the context, too, also while they start.
func TestStartContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hk := newHyperKube(t, steady("db"))
	hk.SetOut(new(lockedBuffer))
	r, err := hk.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	receive(t, "the end of the servers", r.Done())
	if err := r.Stop(); err != nil {
		t.Error(err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	slow := &Server{SimpleUsage: "slow", Run: idle, Ready: func(ctx context.Context, _ *Server) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	hk = newHyperKube(t, slow)
	hk.SetOut(new(lockedBuffer))
	if _, err := hk.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// What goes wrong is an error, and nothing runs.
func TestStartFails(t *testing.T) {
	broken := func() *Server {
		return &Server{SimpleUsage: "broken", Restart: RestartNever, Ready: func(ctx context.Context, _ *Server) error { <-ctx.Done(); return ctx.Err() },
			Run: func(context.Context, *Server, []string) error { return errors.New("out of ink") }}
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"a flag", []string{"--nonsense"}, "unknown flag: --nonsense"},
		{"help", []string{"--help"}, "leave --help out"},
		{"print-config", []string{"--print-config"}, "leave them out"},
		{"a command", []string{"--", "sh"}, "leave them out"},
		{"a server that is not there", []string{"web"}, "server not found: web"},
		{"a server fails", []string{"broken"}, "broken failed: out of ink"},
		{"a server fails, another goes on", []string{"broken,db", "--keep-going"}, "broken failed: out of ink"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := begin(t, newHyperKube(t, broken(), steady("db")), test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// A server that fails later ends the run, and Stop tells why.
func TestStartedFails(t *testing.T) {
	fail := make(chan error)
	s := &Server{SimpleUsage: "db", Restart: RestartNever, Run: func(context.Context, *Server, []string) error { return <-fail }}
	r, _, err := begin(t, newHyperKube(t, s))
	if err != nil {
		t.Fatal(err)
	}
	fail <- errors.New("out of ink")
	receive(t, "the end of the servers", r.Done())
	if err := r.Stop(); err == nil || err.Error() != "db failed: out of ink" {
		t.Error(err)
	}
}

// What is the process's stays what it was: its loggers, its signals, its environment.
func TestStartLeavesTheProcessAlone(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	t.Setenv("HK_LOG_LEVEL", "nonsense")
	t.Setenv("NOTIFY_SOCKET", "/somewhere")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT)
	defer signal.Stop(signals)
	r, _, err := begin(t, newHyperKube(t, steady("db")))
	if err != nil {
		t.Fatal(err)
	}
	log.Print("of the process")
	if !strings.Contains(logged.String(), "of the process") {
		t.Error("what the process logs was taken")
	}
	if os.Getenv("NOTIFY_SOCKET") == "" {
		t.Error("the service manager's socket was taken")
	}
	if err := signalSelf(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	receive(t, "the signal", signals)
	select {
	case <-r.Done():
		t.Error("a signal of the process's has ended it")
	default:
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
