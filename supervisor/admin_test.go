package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"go.uber.org/zap/zapcore"
)

// served is a run with its admin API, and a client of it. Where the test has no hand in it, it is as in runPlan.
type served struct {
	t       *testing.T
	hk      *HyperKube
	p       *Plan
	g       *life.Group
	http    *admin.Client
	signals chan os.Signal
	result  chan error
	release func() error
	stopped bool
}

// serve runs these servers, and ends the run with the test.
func serve(t *testing.T, servers ...*Server) *served {
	t.Helper()
	return serveWith(t, func(*life.Group) {}, servers...)
}

// serveWith does so with a group that is set before it runs.
func serveWith(t *testing.T, set func(*life.Group), servers ...*Server) *served {
	t.Helper()
	return serveArgs(t, newHyperKube(t, servers...), set)
}

// serveArgs does so with these arguments of `run`.
func serveArgs(t *testing.T, hk *HyperKube, set func(*life.Group), args ...string) *served {
	t.Helper()
	guard(t)
	hk.SetOut(&lockedBuffer{})
	p, err := hk.plan(nil, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, hk: hk, p: p, signals: make(chan os.Signal, 2), result: make(chan error, 1)}
	if err := p.run.check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.release, err = p.run.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.run.makeGroup()
	s.g = p.run.group
	set(s.g)
	go func() { s.result <- s.g.Run(s.signals) }()
	s.http = hk.connect(p)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the run has ended with %v", err)
		}
		s.http.HTTP.CloseIdleConnections()
	})
	return s
}

// ended waits until the run has ended by itself, and returns how.
func (sv *served) ended() error {
	sv.t.Helper()
	sv.stopped = true
	err := receive(sv.t, "the end of the run", sv.result)
	close(sv.signals)
	sv.p.run.logs.Close()
	sv.p.run.socket.close()
	if err := errors.Join(sv.p.run.forget(), sv.release()); err != nil {
		sv.t.Error(err)
	}
	return err
}

// stop ends the run, once. It may be called from any goroutine.
func (sv *served) stop() error {
	if sv.stopped {
		return nil
	}
	sv.stopped = true
	sv.signals <- syscall.SIGTERM
	var err error
	select {
	case err = <-sv.result:
	case <-time.After(patience):
		return overdue(sv.t, "the end of the run")
	}
	close(sv.signals)
	sv.p.run.logs.Close()
	sv.p.run.socket.close()
	return errors.Join(err, sv.p.run.forget(), sv.release())
}

// answered is an answer of the API.
type answered struct {
	code   int
	text   string
	header http.Header
}

// send sends a request. It may be called from any goroutine.
func (sv *served) send(method, path, body string) answered {
	sv.t.Helper()
	r, err := http.NewRequestWithContext(sv.t.Context(), method, "http://hk"+path, strings.NewReader(body))
	if err != nil {
		sv.t.Error(err)
		return answered{}
	}
	a, err := sv.http.HTTP.Do(r)
	if err != nil {
		sv.t.Error(err)
		return answered{}
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		sv.t.Errorf("%s %s: %v", method, path, err)
	}
	return answered{a.StatusCode, string(text), a.Header}
}

// want sends a request and reads the answer, which is to have this code, into v if that is not nil.
func (sv *served) want(code int, method, path, body string, v any) {
	sv.t.Helper()
	a := sv.send(method, path, body)
	if a.code != code || a.header.Get("Content-Type") != "application/json" {
		sv.t.Fatalf("%s %s: code %d, want %d; %v\n%s", method, path, a.code, code, a.header, a.text)
	}
	if v == nil {
		return
	}
	d := json.NewDecoder(strings.NewReader(a.text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		sv.t.Fatalf("%s %s: %v\n%s", method, path, err, a.text)
	}
}

// refused sends a request that is to be refused with this code, and returns why.
func (sv *served) refused(code int, method, path, body string) string {
	sv.t.Helper()
	var why struct{ Error string }
	sv.want(code, method, path, body, &why)
	return why.Error
}

// steer asks for something, and waits until it has come to pass.
func (sv *served) steer(ctx context.Context, what life.Verb, name string) error {
	request, err := sv.g.Ask(what, nil, name)
	if err != nil {
		return err
	}
	return request.Wait(ctx)
}

// await waits until a server is in that state.
func (sv *served) await(server string, state State) {
	sv.t.Helper()
	ctx, cancel := context.WithTimeout(sv.t.Context(), patience)
	defer cancel()
	if !sv.g.Find(server).Await(ctx, state) {
		hang(sv.t, fmt.Sprintf("%s becomes %v", server, state))
	}
}

// steady is a server that runs until it is stopped.
func steady(name string, needs ...string) *Server {
	s := &Server{SimpleUsage: name, Run: idle}
	for _, need := range needs {
		s.Needs = append(s.Needs, Need{Server: need})
	}
	return s
}

func TestStatusOverTheAPI(t *testing.T) {
	db := steady("db")
	db.Aliases = []string{"store"}
	db.Address = func(*Server) string { return "127.0.0.1:5432" }
	hk := newHyperKube(t, db, steady("api", "db"))
	hk.Version = func() string { return "v1\nof today" }
	s := serveArgs(t, hk, func(*life.Group) {})
	s.await("api", Ready)

	var status Status
	s.want(200, "GET", "/v1/status", "", &status)
	if status.Program != "hk" || status.Version != "v1" || status.Name != "hk" || status.PID != os.Getpid() || status.DataDir != s.p.DataDir ||
		status.Began.IsZero() || status.Ready.Before(status.Began) || status.Stopping || status.Crash != nil {
		t.Errorf("status: %+v", status)
	}
	var servers []ServerStatus
	s.want(200, "GET", "/v1/servers", "", &servers)
	if diff := cmp.Diff(status.Servers, servers); diff != "" {
		t.Errorf("/v1/servers differs:\n%s", diff)
	}
	var one, other ServerStatus
	s.want(200, "GET", "/v1/servers/db", "", &one)
	s.want(200, "GET", "/v1/servers/store", "", &other)
	if diff := cmp.Diff(one, other); diff != "" {
		t.Errorf("by its other name it is another one:\n%s", diff)
	}
	if one.Name != "db" || one.State != Ready || one.Address != "127.0.0.1:5432" || one.Restart != RestartOnFailure ||
		one.Isolation != "none" || one.LogLevel != "info" || one.FirstReady.Before(one.FirstStarted) {
		t.Errorf("db: %+v", one)
	}
	s.want(200, "GET", "/v1/servers/api", "", &one)
	if !slices.Equal(one.Needs, []string{"db"}) {
		t.Errorf("api: %+v", one)
	}
}

func TestRefusals(t *testing.T) {
	long := `{"level": "` + strings.Repeat("x", 2000) + `"}`
	s := serve(t, steady("db"), steady("api", "db"))
	s.await("api", Ready)
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/", "", 404, "there is no /: /v1/status is where to begin"},
		{"GET", "/v1", "", 404, "there is no /v1: "},
		{"GET", "/v2/status", "", 404, "there is no /v2/status: "},
		{"GET", "/v1/servers/dbs", "", 404, `no server "dbs" is run here: there are db, api (did you mean db?)`},
		{"GET", "/readyz/dbs", "", 404, `no server "dbs"`},
		{"POST", "/v1/servers/dbs/stop", "", 404, `no server "dbs"`},
		{"POST", "/v1/servers/db,dbs/stop", "", 404, `no server "dbs"`},
		{"POST", "/v1/servers/db,,api/stop", "", 404, `no server ""`},
		{"POST", "/v1/servers/db/kill", "", 404, "there is no /v1/servers/db/kill: "},
		{"PUT", "/v1/servers/dbs/log-level", `{"level":"info"}`, 404, `no server "dbs"`},
		{"PUT", "/v1/servers/db/log-level", "", 400, `the body is not like {"level": "v=4"}: `},
		{"PUT", "/v1/servers/db/log-level", "info", 400, `the body is not like {"level": "v=4"}: `},
		{"PUT", "/v1/servers/db/log-level", `{"level": 4}`, 400, `the body is not like {"level": "v=4"}: `},
		{"PUT", "/v1/servers/db/log-level", `{"lvl": "info"}`, 400, `unknown log level ""`},
		{"PUT", "/v1/servers/db/log-level", `{"level": "loud"}`, 400, `unknown log level "loud": use `},
		{"PUT", "/v1/servers/db/log-level", long, 400, "too large"},
		{"GET", "/v1/events?after=x", "", 400, "after=x is not the number of an event"},
		{"GET", "/v1/events?after=-1", "", 400, "after=-1 is not the number of an event"},
		{"GET", "/debug/pprof/profile?seconds=NaN", "", 400, "seconds=NaN: use a number above 0, and no more than 3600"},
		{"GET", "/debug/pprof/profile?seconds=-1", "", 400, "seconds=-1: "},
		{"GET", "/debug/pprof/profile?seconds=1e12", "", 400, "seconds=1e12: "},
		{"GET", "/debug/pprof/profile?seconds=x", "", 400, "seconds=x: "},
		{"GET", "/debug/pprof/profile?server=dbs", "", 404, `no server "dbs"`},
	} {
		if why := s.refused(test.code, test.method, test.path, test.body); !strings.Contains(why, test.want) {
			t.Errorf("%s %s %.40s: %q, want %q", test.method, test.path, test.body, why, test.want)
		}
	}
	for path, allowed := range map[string]string{
		"/v1/status": "GET", "/v1/servers": "GET", "/v1/servers/db": "GET", "/v1/servers/db/log-level": "PUT", "/v1/servers/db/stop": "POST",
		"/v1/events": "GET", "/v1/usage": "GET", "/healthz": "GET", "/readyz": "GET", "/readyz/db": "GET", "/metrics": "GET",
		"/debug/pprof/symbol": "GET, POST", "/debug/pprof/profile": "GET",
	} {
		why := s.refused(405, "DELETE", path, "")
		if want := fmt.Sprintf("%s takes no DELETE: use %s", path, strings.ReplaceAll(allowed, ", ", " or ")); why != want {
			t.Errorf("DELETE %s: %q, want %q", path, why, want)
		}
		if got := s.send("DELETE", path, "").header.Get("Allow"); got != allowed {
			t.Errorf("DELETE %s: Allow: %q, want %q", path, got, allowed)
		}
	}
	// Nothing of that has done anything.
	for _, server := range []string{"db", "api"} {
		var status ServerStatus
		s.want(200, "GET", "/v1/servers/"+server, "", &status)
		if status.State != Ready || status.Restarts != 0 || status.LogLevel != "info" {
			t.Errorf("%+v", status)
		}
	}
}

func TestLogLevelOverTheAPI(t *testing.T) {
	db := steady("db")
	db.LevelWarning = func(level zapcore.Level) string {
		if level == zapcore.Level(-4) {
			return "secrets are in it"
		}
		return ""
	}
	s := serve(t, db, steady("api"))
	var level admin.LogLevel
	s.want(200, "PUT", "/v1/servers/db/log-level", `{"level": "v=4"}`, &level)
	if level.Warning != "secrets are in it" {
		t.Errorf("without a warning: %+v", level)
	}
	level = admin.LogLevel{}
	s.want(200, "PUT", "/v1/servers/db/log-level", `{"level": "v=3"}`, &level)
	if level.Level != "v=3" || level.Warning != "" {
		t.Errorf("the answer is %+v", level)
	}
	if !db.Logr().V(3).Enabled() || db.Logr().V(4).Enabled() {
		t.Error("db does not log at v=3")
	}
	api, _ := s.hk.FindServer("api")
	if api.Logr().V(1).Enabled() {
		t.Error("api logs at another level, too")
	}
	s.want(200, "PUT", "/v1/servers/hk/log-level", `{"level": "error"}`, &level)
	if got := s.p.run.logs.Program().Level(); got.String() != "error" {
		t.Errorf("what is of no server is logged at %v", got)
	}
}
