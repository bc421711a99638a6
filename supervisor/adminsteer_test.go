package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

func TestSteeringOverTheAPI(t *testing.T) {
	s := serve(t, steady("db"), steady("api", "db"))
	s.await("api", Ready)
	steer := func(path string, want ...string) {
		t.Helper()
		var all []ServerStatus
		s.want(200, "POST", path, "", &all)
		var got []string
		for _, server := range all {
			got = append(got, fmt.Sprintf("%s %v %d", server.Name, server.State, server.Restarts))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	steer("/v1/servers/api/restart", "api ready 1")
	steer("/v1/servers/db/stop", "db stopped 0", "api stopped 1")
	steer("/v1/servers/db,db/start", "db ready 1")
	steer("/v1/servers/api/start", "api ready 2", "db ready 1")
	steer("/v1/servers/db,api/restart", "db ready 2", "api ready 3")
}

// Without waiting the answer comes although nothing has come to pass.
func TestSteeringWithoutWaiting(t *testing.T) {
	slow := make(chan struct{})
	db := steady("db")
	db.Run = func(ctx context.Context, _ *Server, _ []string) error {
		<-ctx.Done()
		<-slow
		return nil
	}
	s := serve(t, db)
	s.await("db", Ready)
	var all []ServerStatus
	s.want(200, "POST", "/v1/servers/db/stop?wait=false", "", &all)
	if len(all) != 1 || all[0].Name != "db" || all[0].State == Stopped {
		t.Errorf("%+v", all)
	}
	close(slow)
	s.want(200, "POST", "/v1/servers/db/stop", "", &all)
	if all[0].State != Stopped {
		t.Errorf("%+v", all)
	}
}

// Whoever waits for a server when all are stopped is told so: the connection is not just closed.
func TestEndOfTheRunWhileClientsWait(t *testing.T) {
	for range 10 { // to be seen in each order
		starting := make(chan struct{}, 1)
		db := steady("db")
		db.Ready = func(ctx context.Context, _ *Server) error {
			starting <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		slow := steady("slow")
		runs, stopping, stop := make(chan struct{}), make(chan struct{}), make(chan struct{})
		slow.Run = func(ctx context.Context, _ *Server, _ []string) error {
			close(runs)
			<-ctx.Done()
			close(stopping)
			<-stop
			return nil
		}
		s := serve(t, db, slow)
		receive(t, "the start of db", starting)
		receive(t, "the start of slow", runs) // before that, a stop would end it at once
		ask := func(path string) chan answered {
			c := make(chan answered, 1)
			go func() { c <- s.send("POST", path, "") }()
			return c
		}
		restart := ask("/v1/servers/db/restart")
		receive(t, "the second start of db", starting)
		start := ask("/v1/servers/db/start")
		stopSlow := ask("/v1/servers/slow/stop")
		receive(t, "the stop of slow", stopping)

		ended := make(chan error, 1)
		go func() { ended <- s.stop() }()
		for _, c := range []chan answered{restart, start} {
			a := receive(t, "an answer", c)
			if a.code != http.StatusConflict || !strings.Contains(a.text, "all servers are being stopped") {
				t.Errorf("code %d: %s", a.code, a.text)
			}
		}
		// As long as one of them stops, it can be asked, but for servers.
		var status Status
		s.want(200, "GET", "/v1/status", "", &status)
		if !status.Stopping {
			t.Error("it does not say that it is stopping")
		}
		for _, path := range []string{"/v1/servers/db/start", "/v1/servers/db/restart", "/v1/servers/db/stop"} {
			if why := s.refused(409, "POST", path, ""); why != "all servers are being stopped" {
				t.Errorf("%s: %s", path, why)
			}
		}
		if a := s.send("GET", "/healthz", ""); a.code != 200 {
			t.Errorf("it is not healthy while it stops: %s", a.text)
		}
		a := s.send("GET", "/readyz?exclude=db&exclude=slow", "")
		if a.code != 500 || !strings.Contains(a.text, "[-]shutdown failed: all servers are being stopped\n") {
			t.Errorf("it is ready while it stops: %s", a.text)
		}
		close(stop)
		if a := receive(t, "the answer", stopSlow); a.code != 200 || !strings.Contains(a.text, `"stopped"`) {
			t.Errorf("code %d: %s", a.code, a.text)
		}
		if err := receive(t, "the end of the run", ended); err != nil {
			t.Error(err)
		}
	}
}

// once is a server of which there is to be one instance at a time.
func once(t *testing.T, name string, fail func() bool, needs ...string) *Server {
	s := steady(name, needs...)
	var running atomic.Int32
	s.Run = func(ctx context.Context, _ *Server, _ []string) error {
		if running.Add(1) > 1 {
			t.Errorf("there are two of %s", name)
		}
		defer running.Add(-1)
		if fail() {
			return errors.New("out of ink")
		}
		<-ctx.Done()
		return nil
	}
	s.Ready = func(context.Context, *Server) error { return nil }
	return s
}

// Clients that want different things of the same servers all get an answer, and there is never more than one of a
// server.
func TestClientsThatRace(t *testing.T) {
	for _, clients := range []int{2, 10} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			never := func() bool { return false }
			s := serveWith(t, func(g *life.Group) { g.KeepGoing = true },
				once(t, "db", never), once(t, "api", never, "db"), once(t, "ui", never, "api"),
				once(t, "shaky", func() bool { return rand.N(4) == 0 }, "db"))
			var all sync.WaitGroup
			names := []string{"db", "api", "ui", "shaky", "db,ui", "api,shaky"}
			for range clients {
				all.Go(func() {
					for range 40 {
						path := "/v1/servers/" + names[rand.N(len(names))] + []string{"/start", "/stop", "/restart"}[rand.N(3)]
						if rand.N(4) == 0 {
							path += "?wait=false"
						}
						a := s.send("POST", path, "")
						named := strings.Contains(a.text, "db") || strings.Contains(a.text, "api") || strings.Contains(a.text, "ui") ||
							strings.Contains(a.text, "shaky")
						if (a.code != 200 && a.code != 409) || !named {
							t.Errorf("POST %s: code %d: %s", path, a.code, a.text)
						}
					}
				})
			}
			all.Wait()
			// They have left it in a state from which everything can be started.
			for try := 1; ; try++ {
				a := s.send("POST", "/v1/servers/db,api,ui/start", "")
				if a.code == 200 {
					break
				}
				if try == 10 {
					t.Fatalf("code %d: %s", a.code, a.text)
				}
			}
			if err := s.stop(); err != nil && !strings.Contains(err.Error(), "shaky failed: out of ink") {
				t.Error(err)
			}
		})
	}
}
