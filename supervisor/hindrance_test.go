package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What hinders a start is told at once and once, in full, on the screen, with --quiet too, and in the status; and the
// start goes on when it is over.
func TestHindrance(t *testing.T) {
	const why = "the webhook everything.example refuses what it needs, and this is a text that is longer than a row of the table, " +
		"as the command at its end is what matters: remove it"
	for _, flags := range [][]string{nil, {"--quiet"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			removed, told := make(chan struct{}), make(chan struct{})
			var out lockedBuffer
			db := &Server{SimpleUsage: "db",
				Run: func(ctx context.Context, s *Server, _ []string) error {
					for range 3 {
						s.Hindered(errors.New(why))
					}
					select {
					case <-removed:
					case <-ctx.Done():
					}
					s.Hindered(nil)
					close(told)
					<-ctx.Done()
					s.Hindered(errors.New("too late"))
					return nil
				},
				Ready: func(ctx context.Context, _ *Server) error {
					select {
					case <-told:
					case <-ctx.Done():
					}
					return ctx.Err()
				}}
			watch := &Server{SimpleUsage: "watch", Restart: RestartNever, Run: func(ctx context.Context, _ *Server, _ []string) error {
				status := func(part string) (text string) {
					for ctx.Err() == nil && !strings.Contains(text, part) {
						time.Sleep(time.Millisecond)
						text, _ = call(&HyperKube{Name: "hk"}, "hk", "status")
					}
					return text
				}
				for ctx.Err() == nil && !strings.Contains(out.String(), why) {
					time.Sleep(time.Millisecond)
				}
				contains(t, status("starting"), "\ndb cannot start yet: "+why+"\n")
				close(removed)
				lacks(t, status("db       ready"), why)
				return errors.New("that is all")
			}}
			hk := newHyperKube(t, db, watch)
			hk.SetOut(&out)
			wantCode(t, hk.Run(append([]string{"hk", "run"}, flags...)), 1)
			if n := strings.Count(out.String(), "db cannot start yet: "+why); n != 1 {
				t.Errorf("told %d times:\n%s", n, out.String())
			}
			lacks(t, out.String(), "too late")
			text, err := os.ReadFile(os.Getenv("XDG_STATE_HOME") + "/hk/hk/logs/db.log")
			if err != nil {
				t.Fatal(err)
			}
			contains(t, string(text), "something hinders the start", "nothing hinders the start any more")
		})
	}
}

// Who waits for a start is told what hinders that, or the start of what it needs: once.
func TestHindranceIsToldToWhoWaits(t *testing.T) {
	const why = "the key is missing: bring it back"
	var missing atomic.Bool
	removed := make(chan struct{})
	db := &Server{SimpleUsage: "db",
		Run: func(ctx context.Context, s *Server, _ []string) error {
			if missing.Load() {
				s.Hindered(errors.New(why))
			}
			<-ctx.Done()
			return nil
		},
		Ready: func(ctx context.Context, _ *Server) error {
			if !missing.Load() {
				return nil
			}
			select {
			case <-removed:
			case <-ctx.Done():
			}
			return ctx.Err()
		}}
	s := serve(t, db, steady("api", "db"))
	s.await("api", Ready)
	var out lockedBuffer
	hk := &HyperKube{Name: s.hk.Name}
	hk.SetOut(&out)
	if err := hk.StopServers(t.Context(), s.p, "db"); err != nil {
		t.Fatal(err)
	}
	missing.Store(true)
	done := make(chan error, 1)
	go func() { done <- hk.StartServers(t.Context(), s.p, "api") }()
	eventually(t, "what hinders is told", func() bool {
		if len(done) > 0 {
			t.Fatalf("it has not waited: %v", <-done)
		}
		return strings.Contains(out.String(), "db cannot start yet: "+why+"\n")
	})
	close(removed)
	if err := receive(t, "the start", done); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), why); n != 1 {
		t.Errorf("told %d times:\n%s", n, out.String())
	}
}
