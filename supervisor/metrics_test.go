package supervisor

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/meter"
)

func TestMetrics(t *testing.T) {
	db := steady("db")
	db.Run = func(ctx context.Context, s *Server, _ []string) error {
		s.Logger().Warn("one")
		s.Logger().Warn("two")
		<-ctx.Done()
		return nil
	}
	db.Ready = func(context.Context, *Server) error { return nil }
	s := serve(t, db, steady("api", "db"))
	s.await("api", Ready)
	s.want(200, "POST", "/v1/servers/db/restart", "", nil)
	s.want(200, "POST", "/v1/servers/api/stop", "", nil)
	a := s.send("GET", "/metrics", "")
	if a.code != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Fatal(a)
	}
	problems, err := promlint.New(strings.NewReader(a.text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, line := range []string{
		`hk_server_state\{server="db",state="ready"\} 1`,
		`hk_server_state\{server="db",state="stopped"\} 0`,
		`hk_server_state\{server="api",state="ready"\} 0`,
		`hk_server_state\{server="api",state="stopped"\} 1`,
		`hk_server_restarts_total\{server="db"\} 1`,
		`hk_server_restarts_total\{server="api"\} 0`,
		`hk_server_start_duration_seconds\{server="db"\} \d\S+`,
		`hk_server_log_lines_total\{level="warn",server="db"\} 4`,
		`hk_server_log_lines_total\{level="error",server="hk"\} 0`,
		`hk_server_log_lines_lost_total\{server="db"\} 0`,
		`hk_server_goroutines\{server="db"\} [1-9]`,
		`hk_server_goroutines\{server="api"\} 0`,
		`hk_server_goroutines\{server="hk"\} \d+`,
		`hk_server_cpu_seconds_total\{server="db"\} \d\S*`,
		`hk_server_cpu_seconds_total\{server="hk"\} \d\S*`,
		`process_cpu_seconds_total \d\S*`,
		`go_goroutines \d+`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(a.text) {
			t.Errorf("there is no %s in\n%s", line, a.text)
		}
	}
	for _, kind := range []string{"state gauge", "restarts_total counter", "start_duration_seconds gauge", "log_lines_total counter",
		"log_lines_lost_total counter", "goroutines gauge", "cpu_seconds_total counter"} {
		contains(t, a.text, "# TYPE hk_server_"+kind+"\n")
	}
}

func TestUsageOverTheAPI(t *testing.T) {
	s := serve(t, steady("db"), steady("api"))
	s.await("db", Ready)
	s.want(200, "POST", "/v1/servers/api/stop", "", nil)
	s.p.run.logs.Program().Zap().Warn("one")
	var before, u admin.Usage
	s.want(200, "GET", "/v1/usage", "", &before)
	s.want(200, "GET", "/v1/usage", "", &u)
	if u.Error != "" || !u.Time.After(before.Time) || len(u.Servers) != 3 {
		t.Fatalf("%+v", u)
	}
	for i, name := range []string{"db", "api", "hk"} {
		if u.Servers[i].Name != name || u.Servers[i].CPUSeconds < before.Servers[i].CPUSeconds {
			t.Errorf("%+v", u.Servers[i])
		}
	}
	// The process's CPU time is all of it, whether somebody has looked or not.
	if known := meter.ProcessSeconds() > 0; known && before.CPUSeconds <= before.Servers[0].CPUSeconds || u.CPUSeconds < before.CPUSeconds {
		t.Errorf("the process has used %v, then %v seconds", before.CPUSeconds, u.CPUSeconds)
	}
	db, api, hk := u.Servers[0], u.Servers[1], u.Servers[2]
	if db.Goroutines == 0 || api.Goroutines != 0 || hk.Goroutines == 0 || hk.LogLines != 1 {
		t.Errorf("%+v", u.Servers)
	}
}
