package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// What a server says while it starts is shown if it fails, and not otherwise.
func TestQuietStart(t *testing.T) {
	said := make(chan struct{})
	quiet := &Server{SimpleUsage: "silent",
		Run: func(ctx context.Context, s *Server, _ []string) error {
			s.Logger().Error("nothing there yet")
			close(said)
			<-ctx.Done()
			s.Logger().Error("all is closed")
			return nil
		},
		Ready: func(context.Context, *Server) error { <-said; return nil },
	}
	failing := &Server{SimpleUsage: "failing", Restart: RestartNever, Needs: []Need{{Server: "silent"}},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			s.Logger().Error("no disk")
			return errors.New("cannot store")
		},
		Ready: func(ctx context.Context, _ *Server) error { <-ctx.Done(); return ctx.Err() },
	}
	out, err := call(newHyperKube(t, quiet, failing), "hk", "run")
	wantCode(t, err, 1)
	contains(t, out, "E failing  no disk", "Error: failing failed: cannot store")
	for _, hidden := range []string{"nothing there yet", "all is closed"} {
		if strings.Contains(out, hidden) {
			t.Errorf("%q is shown:\n%s", hidden, out)
		}
	}
}

// What a server has said comes before its failure, on the screen, and the error last. The log is written by a goroutine
// of its own.
func TestLinesComeBeforeTheFailure(t *testing.T) {
	for range 50 { // to be seen in each order
		hk := newHyperKube(t, &Server{SimpleUsage: "db", Restart: RestartNever, Run: func(_ context.Context, s *Server, _ []string) error {
			s.Logger().Error("no disk")
			return errors.New("cannot store")
		}})
		out, err := call(hk, "hk", "run")
		wantCode(t, err, 1)
		said, failed, last := strings.Index(out, " E db  no disk\n"), strings.Index(out, "  db  failed "), strings.Index(out, "Error: db failed")
		if said < 0 || failed < said || last < failed {
			t.Fatalf("not in order:\n%s", out)
		}
	}
}

// What a server says when it is ready, but others still start, is shown if it goes on when all are: what heals by
// itself within the start of all is in the files.
func TestQuietUntilAllAreReady(t *testing.T) {
	said, more := make(chan struct{}), make(chan struct{})
	var out lockedBuffer
	db := &Server{SimpleUsage: "db", Ready: func(context.Context, *Server) error { return nil },
		Run: func(ctx context.Context, s *Server, _ []string) error {
			<-said
			s.Logger().Warn("that was slow")
			close(more)
			shownBy(ctx, &out, "ready after")
			s.Logger().Warn("that was slow, too")
			<-ctx.Done()
			return nil
		}}
	api := &Server{SimpleUsage: "api", Needs: []Need{{Server: "db"}}, Restart: RestartNever,
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			shownBy(ctx, &out, "too")
			return errors.New("that is all")
		},
		Ready: func(context.Context, *Server) error { close(said); <-more; return nil }}
	hk := newHyperKube(t, db, api)
	hk.SetOut(&out)
	wantCode(t, hk.Run([]string{"hk", "run"}), 1)
	contains(t, out.String(), "that was slow, too")
	lacks(t, out.String(), "that was slow\n")
	text, err := os.ReadFile(os.Getenv("XDG_STATE_HOME") + "/hk/hk/logs/db.log")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), `"that was slow"`)
}

// shownBy waits until something is shown.
func shownBy(ctx context.Context, out *lockedBuffer, what string) {
	for ctx.Err() == nil && !strings.Contains(out.String(), what) {
		time.Sleep(time.Millisecond)
	}
}
