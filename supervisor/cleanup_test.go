package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// bubble is a group of servers in a bubble of testing/synctest.
type bubble struct {
	t       *testing.T
	group   *life.Group
	signals chan os.Signal
	result  chan error
	shown   *lockedBuffer
	logs    *logging.Logs
}

// inBubbleWith runs the test in a bubble, with a group of these servers that goes on when one has failed. made makes
// the channels of the test, which belong to the bubble.
func inBubbleWith(t *testing.T, made func(), test func(b *bubble), servers ...*Server) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		made()
		b := &bubble{t: t, signals: make(chan os.Signal, 2), result: make(chan error, 1), shown: &lockedBuffer{}}
		b.logs = logging.New(logging.Config{Out: b.shown})
		for _, s := range servers {
			s.at().log = b.logs.Server(s.Name())
		}
		b.group = newGroup(servers)
		b.group.KeepGoing = true
		go func() { b.result <- b.group.Run(b.signals) }()
		synctest.Wait()
		test(b)
		close(b.signals)
		time.Sleep(24 * time.Hour) // until the servers that were left behind have ended
		b.logs.Close()
	})
}

// ask asks for something, and returns where the answer is when it has come to pass.
func (b *bubble) ask(what life.Verb, server string) (answer chan error) {
	b.t.Helper()
	request, err := b.group.Ask(what, nil, server)
	if err != nil {
		b.t.Fatalf("refused: %v", err)
	}
	answer = make(chan error, 1)
	go func() { answer <- request.Wait(context.Background()) }()
	synctest.Wait()
	return answer
}

// end ends the group.
func (b *bubble) end() error {
	b.signals <- syscall.SIGTERM
	return <-b.result
}

// opener is a server that opens a socket and something else in each Build, as servers do, and notes what is called. Its
// Build takes a second.
type opener struct {
	*Server
	ready chan error // what Ready returns
	fail  chan error // what Run returns
	built error      // what Build returns

	mu    sync.Mutex
	calls []string
}

func newOpener(name, path string, needs ...string) *opener {
	o := &opener{}
	o.Server = steady(name, needs...)
	o.Restart = RestartNever
	o.Build = func(ctx context.Context, s *Server) error {
		o.note("build")
		defer func() { o.note(fmt.Sprintf("built, stopped=%v", ctx.Err() != nil)) }()
		l, err := s.Socket("unix", path)
		if err != nil {
			return err
		}
		s.Cleanup(func() { o.note(fmt.Sprintf("open=%v", !isClosed(l))) })
		s.Cleanup(func() {
			o.note("cleanup")
			panic("it is only told")
		})
		time.Sleep(time.Second)
		return o.built
	}
	o.Run = func(ctx context.Context, _ *Server, _ []string) error {
		o.note("run")
		select {
		case err := <-o.fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	o.Ready = func(ctx context.Context, _ *Server) error {
		select {
		case err := <-o.ready:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return o
}

func (o *opener) note(call string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, call)
}

func (o *opener) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if fmt.Sprint(o.calls) != fmt.Sprint(want) {
		t.Errorf("called: %q, want %q", o.calls, want)
	}
}

func isClosed(l net.Listener) bool {
	return errors.Is(l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Hour)), net.ErrClosed)
}

// What Build has opened is released when the start has ended, however it ends: before Run, in it, or without it.
func TestReleaseOfWhatWasBuilt(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(b *bubble, up chan struct{}, api *opener)
		want []string
	}{
		{"a stop while it is built", func(b *bubble, _ chan struct{}, _ *opener) { b.ask(life.Stop, "api") }, []string{"build", "built, stopped=true"}},
		{"a stop while it waits", func(b *bubble, _ chan struct{}, _ *opener) {
			time.Sleep(time.Minute)
			b.ask(life.Stop, "api")
		}, []string{"build", "built, stopped=false"}},
		{"a stop while it starts", func(b *bubble, up chan struct{}, _ *opener) {
			close(up)
			time.Sleep(time.Minute)
			b.ask(life.Stop, "api")
		}, []string{"build", "built, stopped=false", "run"}},
		{"a failure", func(b *bubble, up chan struct{}, api *opener) {
			close(up)
			time.Sleep(time.Minute)
			api.fail <- errors.New("boom")
			synctest.Wait()
		}, []string{"build", "built, stopped=false", "run"}},
		{"a failure of Build", func(b *bubble, up chan struct{}, _ *opener) {
			close(up)
			time.Sleep(time.Minute)
		}, []string{"build", "built, stopped=false"}},
		{"the end of all", func(b *bubble, _ chan struct{}, _ *opener) {
			b.signals <- syscall.SIGTERM
			time.Sleep(time.Minute)
		}, []string{"build", "built, stopped=true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var up chan struct{}
			db := steady("db")
			db.Ready = func(ctx context.Context, _ *Server) error {
				select {
				case <-up:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			api := newOpener("api", filepath.Join(t.TempDir(), "s"), "db")
			if test.name == "a failure of Build" {
				api.built = errors.New("no way")
			}
			inBubbleWith(t, func() { up, api.ready, api.fail = make(chan struct{}), make(chan error, 1), make(chan error, 1) }, func(b *bubble) {
				open := api.at().sockets.Given()
				test.end(b, up, api)
				time.Sleep(time.Minute)
				api.want(t, append(test.want, "cleanup", "open=true")...)
				if len(open) != 1 || !isClosed(open[0]) {
					t.Errorf("of %d listeners one is still open", len(open))
				}
				b.logs.Flush()
				contains(t, b.shown.String(), "it is only told")
				b.signals <- syscall.SIGTERM
				<-b.result
			}, db, api.Server)
		})
	}
}

// A server has not ended before what it has opened is released: what starts next finds it free.
func TestReleaseTakesItsTime(t *testing.T) {
	api := newOpener("api", "")
	api.Build = func(_ context.Context, s *Server) error {
		api.note("build")
		s.Cleanup(func() {
			time.Sleep(5 * time.Second)
			api.note("released")
		})
		return nil
	}
	inBubbleWith(t, func() { api.ready, api.fail = make(chan error, 2), make(chan error, 1) }, func(b *bubble) {
		api.ready <- nil
		synctest.Wait()
		answer := b.ask(life.Restart, "api")
		time.Sleep(4 * time.Second)
		api.want(t, "build", "run")
		if state := b.group.Find("api").Status().State; state != Stopping {
			t.Errorf("api is %v", state)
		}
		time.Sleep(2 * time.Second)
		api.want(t, "build", "run", "released", "build", "run")
		api.ready <- nil
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
		api.want(t, "build", "run", "released", "build", "run", "released") // each once
	}, api.Server)
}

// It counts for the grace period, too: a server that cannot let go is left behind, and does not start on top of itself.
func TestReleaseOverstays(t *testing.T) {
	api := newOpener("api", "")
	api.Build = func(_ context.Context, s *Server) error {
		s.Cleanup(func() { time.Sleep(time.Hour) })
		return nil
	}
	inBubbleWith(t, func() { api.ready, api.fail = make(chan error, 1), make(chan error, 1) }, func(b *bubble) {
		api.ready <- nil
		synctest.Wait()
		answer := b.ask(life.Stop, "api")
		time.Sleep(DefaultGracePeriod)
		synctest.Wait()
		want := "api failed: it did not stop within 10s and is left behind; --api.grace-period gives it more time"
		if err := <-answer; fmt.Sprint(err) != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if _, err := b.group.Ask(life.Start, nil, "api"); fmt.Sprint(err) != "api was left behind when it did not stop, and still runs: start the program again" {
			t.Errorf("error %v", err)
		}
		_ = b.end()
	}, api.Server)
}

// What people can do where a server cannot start again is said in the words of the command line.
func TestAdvice(t *testing.T) {
	api := steady("api")
	api.StartsOnce = func(*Server) bool { return true }
	s := serve(t, api)
	s.await("api", Ready)
	want := "api can start only once in a process: start hk again, or give it a process of its own with --api.isolation=process"
	if why := s.refused(409, "POST", "/v1/servers/api/restart", ""); why != want {
		t.Errorf("refused with %q, want %q", why, want)
	}
}
