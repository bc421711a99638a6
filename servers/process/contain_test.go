package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor"
)

// The reasons where klog is asked to end the process and nothing was said at that level: no error at all, or one.
const (
	exited = "it ended itself with exit code 1; its last lines in the log say why"
	lost   = "it ended itself with exit code 1: leaderelection lost/stopped"
)

// contained are the faults that are the failure of one server: why it has failed, and what is in its log.
var contained = []struct{ fault, reason, logged string }{
	{"error", ink, "what is wrong follows"},
	{"panic", "panic: " + ink, `"stack":"goroutine `},
	{"HandleCrash", "panic: " + ink, "Observed a panic"},
	{"HandleCrash in Run", "panic: " + ink, "Observed a panic"},
	{"HandleCrashWithContext", "panic: " + ink, "Observed a panic"},
	{"wait.Until", "panic: " + ink, "Observed a panic"},
	{"deep", "panic: " + ink, "Observed a panic"},
	{"timer", "panic: " + ink, "Observed a panic"},
	{"ErrAbortHandler", "panic: net/http: abort Handler", "what is wrong follows"},
	{"held", "panic: " + ink, "all is released after 1 call"},
	{"Fatal", ink, ink},
	{"Fatal in Run", ink, ink},
	{"Exit", ink, ink},
	{"FlushAndExit", exited, "what is wrong follows"},
	{"lost lease", lost, "leaderelection lost/stopped"},
}

// The server is started again, the others have noticed nothing, and all stop in order.
func TestContained(t *testing.T) {
	for _, test := range contained {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r, before := start(t, newDir(t))
			r.do(test.fault)
			after := r.until("it is ready again", restarted)
			if faulty := serverIn(after, "faulty"); faulty.LastFailure == nil || faulty.LastFailure.Error != test.reason {
				t.Errorf("it has failed because of %+v, want %q", faulty.LastFailure, test.reason)
			}
			r.wantUntouched(before, after)
			r.stop(0)
			r.wantLogged(test.logged)
		})
	}
}

// restarted reports whether the server faulty has been started again, and all are ready.
func restarted(s *supervisor.Status) bool { return allReady(s) && serverIn(s, "faulty").Restarts > 0 }

// wantUntouched fails the test if the process is another one, or another server has changed its state in between.
func (r *run) wantUntouched(before, after *supervisor.Status) {
	r.t.Helper()
	if before.PID != after.PID || after.PID != r.cmd.Process.Pid {
		r.t.Errorf("process %d, then %d", before.PID, after.PID)
	}
	for _, name := range []string{"db", "api"} {
		was, is := serverIn(before, name), serverIn(after, name)
		if is.State != supervisor.Ready || is.Restarts != 0 || is.LastFailure != nil || !is.Since.Equal(was.Since) {
			r.t.Errorf("%s is %+v, and was %+v", name, is, was)
		}
	}
	if restarts := serverIn(after, "faulty").Restarts; restarts > 1 {
		r.t.Errorf("faulty has been started again %d times", restarts)
	}
}

// wantLogged fails the test if the log of the server faulty lacks the text, or that of another has it, or anything bad.
func (r *run) wantLogged(text string) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "logs", "*.log"))
	if err != nil || len(files) < 4 {
		r.t.Fatalf("logs %q, %v", files, err)
	}
	found := false
	for _, path := range files {
		all, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		for raw := range bytes.Lines(all) {
			line, err := logging.ParseLine(bytes.TrimSpace(raw))
			switch {
			case err != nil:
				r.t.Errorf("%v: %s", err, raw)
			case line.Server == "faulty":
				found = found || bytes.Contains(raw, []byte(text))
			case line.Server != "hk" && bytes.Contains(raw, []byte(text)): // hk tells of the failure
				r.t.Errorf("it is in the log of another: %s", raw)
			}
			if strings.Contains(line.Msg, "has gone on") {
				r.t.Errorf("%s", raw)
			}
		}
	}
	if !found {
		r.t.Errorf("the server has not logged %q; the screen has\n%s", text, &r.screen)
	}
}

// With --restart=never it is the end of all, and the reason is the last that is said.
func TestContainedForGood(t *testing.T) {
	for _, test := range contained {
		if test.fault == "timer" || test.fault == "deep" || test.fault == "ErrAbortHandler" {
			continue // nothing new
		}
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r, _ := start(t, newDir(t), "--faulty.restart=never")
			r.do(test.fault)
			if code := r.end(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if text := r.screen.String(); !strings.HasSuffix(strings.TrimSpace(text[:strings.LastIndex(text, "See 'hk logs")]),
				"Error: faulty failed: "+test.reason) {
				t.Errorf("the reason is not last:\n%s", text)
			}
		})
	}
}

// With --keep-going the others go on without it.
func TestContainedAndKeptGoing(t *testing.T) {
	for _, test := range contained[1:3] {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			r, before := start(t, newDir(t), "--faulty.restart=never", "--keep-going")
			r.do(test.fault)
			after := r.until("it has failed", func(s *supervisor.Status) bool { return serverIn(s, "faulty").State == supervisor.Failed })
			if reason := serverIn(after, "faulty").Error; reason != test.reason {
				t.Errorf("it has failed because of %q", reason)
			}
			r.wantUntouched(before, after)
			r.stop(1) // because of the failure
		})
	}
}

// A request that panics fails, and nothing else does.
func TestRequests(t *testing.T) {
	r, before := start(t, newDir(t))
	address, err := r.ask("POST", "do.sock", "/serve")
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		client := newClient(t, protocol == "HTTP/2.0")
		for _, way := range []string{"", "short/", "long/"} {
			for name := range requests {
				path := way + name
				got := get(t, client, "https://"+string(address)+"/"+path, protocol)
				if want := outcome(name); !want(got) {
					t.Errorf("%s with %s: %v", path, protocol, got)
				}
			}
		}
	}
	after, err := r.status()
	if err != nil {
		t.Fatalf("%v:\n%s", err, &r.screen)
	}
	r.wantUntouched(before, after)
	if faulty := serverIn(after, "faulty"); faulty.Restarts != 0 || faulty.LastFailure != nil || faulty.State != supervisor.Ready {
		t.Errorf("it is %+v, because of %+v", faulty, faulty.LastFailure)
	}
	r.stop(0)
	r.wantLogged("apiserver panic'd")
}
