package supervisor

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

// strict is a server whose Check says what the test wants.
type strict struct {
	*Server
	mu     sync.Mutex
	wrong  error
	checks int
}

func newStrict(name string, needs ...string) *strict {
	st := &strict{Server: steady(name, needs...)}
	st.Check = func(context.Context, *Plan, *Server) error {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.checks++
		if st.wrong != nil && st.wrong.Error() == "panic" {
			panic("in the check")
		}
		return st.wrong
	}
	return st
}

func (sr *strict) says(err error) {
	sr.mu.Lock()
	defer sr.mu.Unlock()
	sr.wrong = err
}

// What a server's Check says comes before a start or restart that somebody wants: it refuses that, and all stay as they
// are.
func TestRefusedRestart(t *testing.T) {
	db, api, ui := newStrict("db"), newStrict("api", "db"), newStrict("ui", "api")
	s := serve(t, db.Server, api.Server, ui.Server)
	s.await("ui", Ready)
	restarts := func(want string) {
		t.Helper()
		var status Status
		s.want(200, "GET", "/v1/status", "", &status)
		var got []string
		for _, server := range status.Servers {
			got = append(got, server.Name+" "+server.State.String()+" "+restarts(server))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("the servers are: %s; want %s", text, want)
		}
	}
	refused := func(path, want string) {
		t.Helper()
		if why := s.refused(409, "POST", path, ""); why != want {
			t.Errorf("%s: %q, want %q", path, why, want)
		}
	}
	api.says(errors.New("no such file"))
	refused("/v1/servers/api/restart", "api is not restarted, and stays ready: no such file")
	refused("/v1/servers/api/restart?wait=false", "api is not restarted, and stays ready: no such file")
	refused("/v1/servers/ui,api/restart", "api is not restarted, and stays ready: no such file")
	restarts("db ready 0, api ready 0, ui ready 0")
	api.says(errors.Join(errors.New("one"), errors.New("two")))
	refused("/v1/servers/api/restart", "api is not restarted, and stays ready:\n  one\n  two")
	api.says(errors.New("panic"))
	refused("/v1/servers/api/restart", "api is not restarted, and stays ready: panic: in the check")

	// What is not to start anew is not asked, nor is what is to stop.
	var all []ServerStatus
	s.want(200, "POST", "/v1/servers/api/start", "", &all)
	s.want(200, "POST", "/v1/servers/db/restart", "", &all)
	restarts("db ready 1, api ready 0, ui ready 0")
	s.want(200, "POST", "/v1/servers/db/stop", "", &all)

	// Of several that are to start those do that need none that is refused.
	api.says(errors.New("no such file"))
	refused("/v1/servers/db,ui/start", "api is not started, and stays stopped: no such file")
	restarts("db ready 2, api stopped 0, ui stopped 0")
	refused("/v1/servers/api/start", "api is not started, and stays stopped: no such file")
	api.says(nil)
	s.want(200, "POST", "/v1/servers/ui/start", "", &all)
	restarts("db ready 2, api ready 1, ui ready 1")
	s.want(200, "POST", "/v1/servers/api/restart", "", &all)
	restarts("db ready 2, api ready 2, ui ready 1")
}

// A start after a failure is nobody's wish: it is tried, and fails.
func TestCheckIsForRequestsAlone(t *testing.T) {
	fail := make(chan error)
	db := newStrict("db")
	db.Run = func(ctx context.Context, _ *Server, _ []string) error {
		select {
		case err := <-fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	s := serve(t, db.Server)
	s.await("db", Ready)
	db.says(errors.New("no such file"))
	fail <- errors.New("boom")
	eventually(t, "the second start", func() bool {
		now := s.g.Find("db").Status()
		return now.Starts == 2 && now.State == Ready
	})
	if db.checks != 1 {
		t.Errorf("it was checked %d times", db.checks)
	}
}

// Only one check runs at a time, whoever asks.
func TestChecksComeOneByOne(t *testing.T) {
	db := newStrict("db")
	busy := make(chan struct{}, 1)
	db.Check = func(context.Context, *Plan, *Server) error {
		select {
		case busy <- struct{}{}:
		default:
			t.Error("two checks at once")
		}
		<-busy
		return nil
	}
	s := serve(t, db.Server)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 20 {
				s.send("POST", "/v1/servers/db/restart", "")
			}
		})
	}
	all.Wait()
}
