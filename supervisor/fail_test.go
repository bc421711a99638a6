package supervisor

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Fail is a failure like any other: the others stop in order, and its error is that of the run.
func TestFail(t *testing.T) {
	for _, ready := range []bool{false, true} {
		db, api := newPart("db"), newPart("api", "db")
		api.slow = time.Second
		inBubble(t, func(l *life) {
			becomeReady(db)
			states := []string{"starting", "failed"}
			if ready {
				becomeReady(api)
				states = []string{"starting", "ready", "failed"}
			}
			api.Fail(errors.New("lost the lease"))
			api.Fail(errors.New("and then this"))
			begin := time.Now()
			err := l.end()
			wantCode(t, err, 1)
			if err == nil || err.Error() != "api failed: lost the lease" {
				t.Errorf("error %v, want the first one", err)
			}
			if took := time.Since(begin); took != api.slow {
				t.Errorf("Run was waited for %v, want %v", took, api.slow)
			}
			l.wantOf(api, states...)
			l.wantOf(db, "starting", "ready", "stopping", "stopped")
			l.wantOrder("api failed", "db stopping")
		}, db, api)
	}
}

// Code that would have ended the process calls Fail, and its goroutine is ended: what Fail was told counts.
func TestFailBeforeGoexit(t *testing.T) {
	for range 20 { // to be seen in each order
		db := newPart("db")
		// While its address is asked for, both come to pass.
		db.Ready = nil
		db.Address = func(*Server) string { time.Sleep(time.Second); return "" }
		db.Run = func(context.Context, *Server, []string) error {
			db.Fail(errors.New("lost the lease"))
			runtime.Goexit()
			return nil
		}
		inBubble(t, func(l *life) {
			if err := l.end(); err == nil || err.Error() != "db failed: lost the lease" {
				t.Errorf("error %v", err)
			}
			l.want("db starting", "db ready", "db failed")
		}, db)
	}
}

func TestGoexitInRunIsAFailure(t *testing.T) {
	db := newPart("db")
	db.Run = func(context.Context, *Server, []string) error {
		runtime.Goexit()
		return nil
	}
	inBubble(t, func(l *life) {
		if err := l.end(); err == nil || err.Error() != "db failed: the goroutine of its Run was ended" {
			t.Errorf("error %v", err)
		}
	}, db)
}

// What a server runs into while it is being stopped is no failure.
func TestFailWhileStopping(t *testing.T) {
	db := newPart("db")
	db.Fail(errors.New("not even running"))
	db.slow = time.Second
	inBubble(t, func(l *life) {
		becomeReady(db)
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		db.Fail(errors.New("closed under me"))
		if err := l.end(); err != nil {
			t.Error(err)
		}
		db.Fail(errors.New("too late"))
		l.want("db starting", "db ready", "db stopping", "db stopped")
	}, db)
}

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
