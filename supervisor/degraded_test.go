package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// What a ready server lacks is told once, in full, on the screen, with --quiet too, and in the status, also if it is
// known before it is ready. It counts as ready, and nothing of it is left when it is over, or in its next start.
func TestDegraded(t *testing.T) {
	const why = "the disk that it writes to has no room any more, and this is a text that is longer than a row of the table: free some"
	for _, flags := range [][]string{nil, {"--quiet"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			mended, wanting, ending := make(chan struct{}), make(chan struct{}), make(chan struct{})
			starts := 0
			var out lockedBuffer
			db := &Server{SimpleUsage: "db", Ready: func(context.Context, *Server) error { return nil },
				Run: func(ctx context.Context, s *Server, _ []string) error {
					if starts++; starts > 1 {
						<-ctx.Done()
						return nil
					}
					for range 3 {
						s.Degraded(errors.New(why))
					}
					<-mended
					s.Degraded(nil)
					<-wanting
					s.Degraded(errors.New("the last one"))
					<-ending
					return errors.New("broken")
				}}
			watch := &Server{SimpleUsage: "watch", Needs: []Need{{Server: "db"}}, Restart: RestartNever, Run: func(ctx context.Context, _ *Server, _ []string) error {
				status := func(ok func(text string) bool) (text string) {
					for ctx.Err() == nil {
						if text, _ = call(&HyperKube{Name: "hk"}, "hk", "status"); ok(text) {
							return text
						}
						time.Sleep(time.Millisecond)
					}
					return text
				}
				has := func(part string) func(string) bool {
					return func(text string) bool { return strings.Contains(text, part) }
				}
				contains(t, status(has(why)), "db       ready", "\ndb is ready, but: "+why+"\n")
				for ctx.Err() == nil && !strings.Contains(out.String(), why) {
					time.Sleep(time.Millisecond)
				}
				close(mended)
				status(func(text string) bool { return !strings.Contains(text, "but:") })
				close(wanting)
				status(has("but: the last one"))
				close(ending)
				lacks(t, status(func(text string) bool {
					return strings.Contains(text, "1 (failed") && strings.Contains(text, "db       ready")
				}), "the last one")
				return errors.New("that is all")
			}}
			hk := newHyperKube(t, db, watch)
			hk.SetOut(&out)
			wantCode(t, hk.Run(append([]string{"hk", "run"}, flags...)), 1)
			if n := strings.Count(out.String(), "db is ready, but: "+why); n != 1 {
				t.Errorf("told %d times:\n%s", n, out.String())
			}
			text, err := os.ReadFile(os.Getenv("XDG_STATE_HOME") + "/hk/hk/logs/db.log")
			if err != nil {
				t.Fatal(err)
			}
			contains(t, string(text), "something is lacking", "nothing is lacking any more")
		})
	}
}

// The health endpoints say what is lacking, and that it is ready all the same.
func TestDegradedHealth(t *testing.T) {
	db := steady("db")
	db.Ready = func(_ context.Context, s *Server) error {
		s.Degraded(errors.New("it is full:\nfree some"))
		return nil
	}
	s := serveWith(t, func(*life.Group) {}, db)
	s.await("db", Ready)
	const want = "[+]shutdown ok\n[+]db ok, but: it is full: free some\nreadyz check passed\n"
	for _, path := range []string{"/readyz", "/readyz?verbose"} {
		if a := s.send("GET", path, ""); a.code != 200 || a.text != want {
			t.Errorf("%s: code %d\n%q, want\n%q", path, a.code, a.text, want)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
