package supervisor

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// spin is a server that uses CPU time until it is stopped.
func spin(name string) *Server {
	return &Server{SimpleUsage: name, Run: func(ctx context.Context, _ *Server, _ []string) error {
		for ctx.Err() == nil {
		}
		return nil
	}}
}

// profileOf parses a profile, and returns whose samples are in it.
func profileOf(t *testing.T, text string) map[string]int {
	t.Helper()
	p, err := profile.ParseData([]byte(text))
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	servers := map[string]int{}
	for _, s := range p.Sample {
		servers[strings.Join(s.Label[logging.LabelKey], "")]++
	}
	return servers
}

func TestProfilesOverTheAPI(t *testing.T) {
	s := serve(t, spin("busy"), steady("db"))
	s.await("busy", Ready)
	take := func(query string) map[string]int {
		t.Helper()
		a := s.send("GET", "/debug/pprof/profile?"+query, "")
		if a.code != 200 || a.header.Get("Content-Type") != "application/octet-stream" {
			t.Fatal(a)
		}
		return profileOf(t, a.text)
	}
	// Where others keep the machine busy there may be no sample in that time.
	eventually(t, "busy is in a profile of all", func() bool { return take("seconds=0.1")["busy"] > 0 })
	eventually(t, "busy is in a profile of its own", func() bool {
		busy := take("seconds=0.1&server=busy")
		if len(busy) > 1 || len(busy) == 1 && busy["busy"] == 0 {
			t.Fatalf("a profile of busy has %v", busy)
		}
		return len(busy) > 0
	})
	if db := take("seconds=0.1&server=db"); db["busy"] != 0 {
		t.Errorf("a profile of db has %v", db)
	}
	for path, want := range map[string]string{
		"/debug/pprof/":                  "Types of profiles available",
		"/debug/pprof/goroutine?debug=1": "goroutine profile: total",
		"/debug/pprof/heap?debug=1":      "heap profile: ",
		"/debug/pprof/cmdline":           os.Args[0],
		"/debug/pprof/symbol":            "num_symbols: 1",
		"/debug/pprof/trace?seconds=0.1": "go 1.",
	} {
		if a := s.send("GET", path, ""); a.code != 200 || !strings.Contains(a.text, want) {
			t.Errorf("%s: code %d, no %q: %.100q", path, a.code, want, a.text)
		}
	}
	if a := s.send("GET", "/debug/pprof/none", ""); a.code != 404 {
		t.Error(a)
	}
}

// There can be one CPU profile at a time. When the run ends, what there is of it is handed out.
func TestProfileAtTheEnd(t *testing.T) {
	s := serve(t, spin("busy"))
	s.await("busy", Ready)
	long := make(chan answered, 1)
	go func() {
		a := answered{code: http.StatusConflict}
		for a.code == http.StatusConflict { // the others, below, may come first
			a = s.send("GET", "/debug/pprof/profile?seconds=3600", "")
		}
		long <- a
	}()
	for {
		a := s.send("GET", "/debug/pprof/profile?seconds=0.01", "")
		if a.code == http.StatusConflict {
			contains(t, a.text, "the CPU profile of this process is in use: one is being taken already; wait until it has ended")
			break
		}
		if a.code != 200 {
			t.Fatal(a)
		}
	}
	used := func() float64 {
		var u admin.Usage
		s.want(200, "GET", "/v1/usage", "", &u)
		if u.Error != "" {
			t.Fatalf("what is used up is not known meanwhile: %s", u.Error)
		}
		return u.Servers[0].CPUSeconds
	}
	for before := used(); used() == before; { // until there is something in it
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if a := receive(t, "the profile", long); a.code != 200 || profileOf(t, a.text)["busy"] == 0 {
		t.Errorf("code %d: %.100q", a.code, a.text)
	}
}

// A file that does not become a profile is removed.
func TestProfileThatFails(t *testing.T) {
	s := serveArgs(t, newHyperKube(t, steady("db"), steady("api")), func(*life.Group) {}, "db")
	s.await("db", Ready)
	file := filepath.Join(t.TempDir(), "api.pb.gz")
	out, err := call(s.hk, "hk", "profile", "api", "-o", file)
	wantCode(t, err, 1)
	contains(t, out, `Error: no server "api" is run here: `)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("there is a file")
	}
}
