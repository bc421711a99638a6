package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// opener has a builder open a socket and something else in each Build, as servers do.
func opener(t *testing.T, name string, needs ...string) *builder {
	b := newBuilder(name, time.Second, needs...)
	build, path := b.Build, filepath.Join(t.TempDir(), "s")
	b.Build = func(ctx context.Context, s *Server) error {
		l, err := s.Socket("unix", path)
		if err != nil {
			return err
		}
		s.Cleanup(func() { b.note(fmt.Sprintf("open=%v", !isClosed(l))) })
		s.Cleanup(func() {
			b.note("cleanup")
			panic("it is only told")
		})
		return build(ctx, s)
	}
	return b
}

func isClosed(l net.Listener) bool {
	return errors.Is(l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Hour)), net.ErrClosed)
}

// listenersOf are the listeners that the server has got.
func listenersOf(s *Server) []net.Listener {
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	return append([]net.Listener(nil), s.sockets.given...)
}

// What Build has opened is released when the start has ended, however it ends: before Run, in it, or without it.
func TestReleaseOfWhatWasBuilt(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *life, db *part, api *builder)
		want []string
	}{
		{"a stop while it is built", func(l *life, _ *part, api *builder) { l.ask(askStop, api.part) }, []string{"build", "built, stopped=true"}},
		{"a stop while it waits", func(l *life, _ *part, api *builder) {
			time.Sleep(time.Minute)
			l.ask(askStop, api.part)
		}, []string{"build", "built, stopped=false"}},
		{"a stop while it starts", func(l *life, db *part, api *builder) {
			becomeReady(db)
			time.Sleep(time.Minute)
			l.ask(askStop, api.part)
		}, []string{"build", "built, stopped=false", "run"}},
		{"a failure", func(l *life, db *part, api *builder) {
			becomeReady(db)
			time.Sleep(time.Minute)
			api.end <- errors.New("boom")
			synctest.Wait()
		}, []string{"build", "built, stopped=false", "run"}},
		{"a failure of Build", func(l *life, db *part, _ *builder) {
			becomeReady(db)
			time.Sleep(time.Minute)
		}, []string{"build", "built, stopped=false"}},
		{"the end of all", func(l *life, db *part, api *builder) {
			l.signals <- syscall.SIGTERM
			time.Sleep(time.Minute)
		}, []string{"build", "built, stopped=true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, api := newPart("db"), opener(t, "api", "db")
			if test.name == "a failure of Build" {
				api.result = errors.New("no way")
			}
			inBubbleWith(t, keepGoing, func(l *life) {
				synctest.Wait()
				open := listenersOf(api.Server)
				test.end(l, db, api)
				time.Sleep(time.Minute)
				api.want(t, append(test.want, "cleanup", "open=true")...)
				if len(open) != 1 || !isClosed(open[0]) {
					t.Errorf("of %d listeners one is still open", len(open))
				}
				contains(t, api.said(), "it is only told")
				l.signals <- syscall.SIGTERM
				_ = l.end()
			}, db, api.part)
		})
	}
}

// A server has not ended before what it has opened is released: what starts next finds it free.
func TestReleaseTakesItsTime(t *testing.T) {
	api := newBuilder("api", 0)
	api.Build = func(_ context.Context, s *Server) error {
		api.note("build")
		s.Cleanup(func() {
			time.Sleep(5 * time.Second)
			api.note("released")
		})
		return nil
	}
	inBubble(t, func(l *life) {
		becomeReady(api.part)
		r := l.ask(askRestart, api.part)
		time.Sleep(4 * time.Second)
		api.want(t, "build", "run")
		l.wantOf(api.part, "starting", "ready", "stopping")
		time.Sleep(2 * time.Second)
		api.want(t, "build", "run", "released", "build", "run")
		becomeReady(api.part)
		r.want("")
		time.Sleep(time.Minute)
		l.stop()
		api.want(t, "build", "run", "released", "build", "run", "released") // each once
	}, api.part)
}

// It counts for the grace period, too: a server that cannot let go is left behind, and does not start on top of itself.
func TestReleaseOverstays(t *testing.T) {
	api := newBuilder("api", 0)
	api.Build = func(_ context.Context, s *Server) error {
		s.Cleanup(func() { time.Sleep(time.Hour) })
		return nil
	}
	inBubble(t, func(l *life) {
		becomeReady(api.part)
		r := l.ask(askStop, api.part)
		time.Sleep(DefaultGracePeriod)
		r.want("api failed: it did not stop within 10s and is left behind; --api.grace-period gives it more time")
		l.signals <- syscall.SIGTERM
		_ = l.end()
	}, api.part)
}
