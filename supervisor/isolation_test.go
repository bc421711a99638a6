//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// isolated is a run of ui, remote and base, in which remote is a process of its own.
type isolated struct {
	*served
	web    http.Client // each request has its own connection
	screen *lockedBuffer
}

func isolate(t *testing.T, args ...string) *isolated {
	t.Helper()
	r := isolateUnready(t, args...)
	r.await("ui", Ready)
	return r
}

// isolateUnready does not wait.
func isolateUnready(t *testing.T, args ...string) *isolated {
	t.Helper()
	return isolateOthers(t, append([]string{"--remote.isolation=process"}, args...)...)
}

// isolateOthers runs what the arguments name.
func isolateOthers(t *testing.T, args ...string) *isolated {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	hk := isolatedToy()
	r := &isolated{served: serveArgs(t, hk, func(*life.Group) {}, args...)}
	r.screen = bufferOf(hk)
	r.web.Transport = &http.Transport{DisableKeepAlives: true}
	r.web.Timeout = patience
	return r
}

// tell has the server do something, and returns what it answers.
func (iso *isolated) tell(what, text string) string {
	iso.t.Helper()
	answer, err := iso.web.Get("http://" + placeOf(iso.p.Server("remote"), anyPort(0)) + "/" + what + "?text=" + url.QueryEscape(text))
	if err != nil {
		if !slices.Contains([]string{"end", "exit", "panic", "flood"}, what) { // it may end before it answers
			iso.t.Errorf("%s: %v", what, err)
		}
		return ""
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		iso.t.Errorf("%s: %v", what, err)
	}
	return string(got)
}

func (iso *isolated) server(name string) (s ServerStatus) {
	iso.want(200, "GET", "/v1/servers/"+name, "", &s)
	return s
}

func (iso *isolated) pid() int { return iso.server("remote").PID }

// renewed waits until remote is ready with another process than this one.
func (iso *isolated) renewed(old int) ServerStatus {
	iso.t.Helper()
	var s ServerStatus
	eventually(iso.t, "remote has a new process", func() bool {
		s = iso.server("remote")
		return s.State == Ready && s.PID != old && s.PID != 0
	})
	return s
}

// ask asks for something, and waits until it has come to pass.
func (iso *isolated) ask(what life.Verb, name string) {
	iso.t.Helper()
	ctx, cancel := context.WithTimeout(iso.t.Context(), patience)
	defer cancel()
	err := iso.steer(ctx, what, name)
	switch {
	case ctx.Err() != nil:
		hang(iso.t, fmt.Sprintf("%v of %s", what, name))
	case err != nil:
		iso.t.Error(err)
	}
}

// lines are those of a server's log file, once the run has ended or they have been flushed.
func (iso *isolated) lines(server string) (all []*logging.Line) {
	iso.t.Helper()
	iso.p.run.logs.Flush()
	text, err := os.ReadFile(logPath(logDir(iso.p), server))
	if err != nil {
		iso.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		l, err := logging.ParseLine([]byte(line))
		if err != nil {
			iso.t.Errorf("%v: %.200q", err, line)
			continue
		}
		all = append(all, l)
	}
	return all
}

// line waits for the line with this message in remote's log, and returns it.
func (iso *isolated) line(msg string) *logging.Line {
	iso.t.Helper()
	var found *logging.Line
	eventually(iso.t, fmt.Sprintf("the log has a line %.100s", msg), func() bool {
		for _, l := range iso.lines("remote") {
			if l.Msg == msg {
				found = l
			}
		}
		return found != nil
	})
	return found
}

func field(l *logging.Line, key string) string {
	for _, f := range l.Fields {
		if f.Key == key {
			return string(f.Value)
		}
	}
	return ""
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestIsolationValue(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	out, err := call(hk, "hk", "run", "--db.isolation=nonsense")
	wantCode(t, err, 2)
	contains(t, out, `invalid argument "nonsense" for "--db.isolation" flag: unknown isolation: use none or process`)
}

// What the user and Default have set reaches the process: repeated flags, those of all processes, what was given and
// what was not.
func TestIsolatedFlags(t *testing.T) {
	r := isolate(t, "--remote.list=a", "--remote.list=b,c", "--gates=X", "--gates=Y")
	var got map[string]setFlag
	if err := json.Unmarshal([]byte(r.tell("flags", "")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]setFlag{
		"list":  {"[a,\"b,c\"]", true, true},
		"gates": {"[X,Y]", true, true},
		"made":  {"by Default", true, false},
		"text":  {"plain", false, false},
		"v":     {"0", false, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// In the process those functions are called that Server.Isolation promises, in this order, and no other's Run.
func TestIsolatedCalls(t *testing.T) {
	r := isolate(t)
	child := r.pid()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	for _, server := range []string{"iso", "base", "remote", "ui"} {
		for _, l := range r.lines(server) {
			if l.Msg == "called" {
				calls[field(l, "pid")] = append(calls[field(l, "pid")], strings.Trim(field(l, "what"), `"`))
			}
		}
	}
	want := map[string][]string{
		fmt.Sprint(os.Getpid()): {"Setup", "Check base", "Listen base", "Prepare base", "Run base", "Check remote", "Listen remote",
			"Prepare remote", "Check ui", "Listen ui", "Prepare ui", "Run ui"},
		fmt.Sprint(child): {"Setup", "Check remote", "Listen remote", "Prepare base", "Prepare remote", "Run remote"},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What fails there is the server's failure, in its own words and no others, and with its exit code; it is not tried
// again where that is pointless.
func TestIsolatedFailures(t *testing.T) {
	for _, test := range []struct{ flag, want string }{
		{"--remote.fail-in=Check", "no Check"},
		{"--remote.fail-in=Listen", "no Listen"},
		{"--remote.fail-in=Prepare", "no Prepare"},
		{"--base.fail-in=Prepare", "no Prepare"},
		{"--remote.fail-in=Run", "no Run"},
	} {
		t.Run(test.flag, func(t *testing.T) {
			// base's Prepare fails in remote's process.
			r := isolateUnready(t, test.flag, "--remote.restart=always")
			err := r.ended()
			if err == nil || err.Error() != "remote failed: "+test.want || exitCode(err) != 7 {
				t.Errorf("exit code %d, error %v", exitCode(err), err)
			}
		})
	}
}

// Ready, the address and what status tells are those of the process.
func TestIsolatedStatus(t *testing.T) {
	r := isolate(t)
	s := r.server("remote")
	if s.Isolation != string(IsolationProcess) || s.PID == 0 || s.PID == os.Getpid() || !alive(s.PID) || !strings.HasPrefix(s.Address, loopback+":") {
		t.Errorf("%+v", s)
	}
	if s := r.server("base"); s.Isolation != string(IsolationNone) || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	answer := r.send("GET", "/v1/servers/remote", "")
	contains(t, answer.text, `"isolation": "process"`, fmt.Sprintf(`"pid": %d`, s.PID))
}

// Errors, ends without one, kills and requests: what follows is as for other servers, with a new process.
func TestIsolatedRestarts(t *testing.T) {
	r := isolate(t, "--remote.restart=always")
	pid := r.pid()
	failure := func() string {
		if f := r.server("remote").LastFailure; f != nil {
			return f.Error
		}
		return ""
	}
	step := func(want string, do func()) {
		t.Helper()
		do()
		pid = r.renewed(pid).PID
		if got := failure(); got != want {
			t.Errorf("it has failed because of %q, want %q", got, want)
		}
		// The failures of a minute are counted: this one is about each of them.
		r.ask(life.Stop, "remote")
		if alive(pid) {
			t.Errorf("process %d still runs", pid)
		}
		r.ask(life.Start, "ui")
		pid = r.renewed(pid).PID
	}
	step("", func() { r.tell("end", "") })
	step("out of ink", func() { r.tell("end", "out of ink") })
	step("its process has ended: exit status 3", func() { r.tell("exit", "3") })
	step("its process has ended: signal: killed", func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	step("its process has ended: signal: killed", func() { r.ask(life.Restart, "remote") })
	if s := r.server("base"); s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}

// It listens at the ports that its parent has opened, also where these may be any free ones, and keeps them.
func TestIsolatedPorts(t *testing.T) {
	for _, args := range [][]string{nil, {"--free-ports"}} {
		r := isolateOthers(t, append(args, "page", "--page.isolation=process")...)
		r.await("page", Ready)
		page := r.p.Server("page")
		first, second := page.ListenAddress("listen"), page.ListenAddress("other")
		if first == second {
			t.Errorf("%v: both ports are %s", args, first)
		}
		for range 2 {
			s := r.server("page")
			if _, text := get(t, s.Address); s.Address != "http://"+first || text != fmt.Sprint(s.PID) {
				t.Errorf("%v: process %d is at %s, want %s; there answers %s", args, s.PID, s.Address, first, text)
			}
			r.ask(life.Restart, "page")
		}
	}
}

// A port that somebody else has taken meanwhile is found, and named, before the next start.
func TestIsolatedPortTakenMeanwhile(t *testing.T) {
	r := isolateOthers(t, "page", "--page.isolation=process", "--keep-going")
	r.await("page", Ready)
	address := r.p.Server("page").ListenAddress("other")
	r.ask(life.Stop, "page")
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = r.steer(t.Context(), life.Start, "page")
	if err == nil || !strings.Contains(err.Error(), " is taken; choose another with --page.other") {
		t.Errorf("the start fails with %v", err)
	}
}

// There, too, a request that does not end is dropped before the process would be killed.
func TestIsolatedDrain(t *testing.T) {
	r := isolateOthers(t, "page", "--page.isolation=process", "--page.grace-period=5s")
	r.await("page", Ready)
	answer, err := http.Get(r.server("page").Address + "/hang")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	ended := make(chan time.Time) // it is not killed
	r.p.Server("page").at().child.After = func(time.Duration) <-chan time.Time { return ended }
	r.ask(life.Stop, "page")
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("the answer has ended as if it were whole")
	}
	for _, l := range r.lines("page") {
		if strings.Contains(l.Msg, "its process is killed") {
			t.Errorf("%+v", l)
		}
	}
}

// It is stopped after what needs it and before what it needs.
func TestIsolatedStopOrder(t *testing.T) {
	r := isolate(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	r.g.Read(t.Context(), 0, func(e Event) {
		if e.To == Stopping || e.To == Stopped {
			got = append(got, fmt.Sprint(e.Server, " ", e.To))
		}
	})
	want := []string{"ui stopping", "ui stopped", "remote stopping", "remote stopped", "base stopping", "base stopped"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// It can be stopped before it runs.
func TestIsolatedStopsWhilePreparing(t *testing.T) {
	r := isolateUnready(t, "--remote.wait", "--remote.grace-period=10m")
	r.line("waiting")
	r.ask(life.Stop, "remote")
	if s := r.server("remote"); s.State != Stopped {
		t.Errorf("%+v", s)
	}
}

// A process that does not stop is killed in the grace period. What it was doing is in the log, and it can be started
// again.
func TestIsolatedOverstays(t *testing.T) {
	r := isolate(t, "--remote.grace-period=1h")
	ended, periods := make(chan time.Time), make(chan time.Duration, 9) // only the first stop is looked at
	close(ended)
	c := r.p.Server("remote").at().child
	c.LastStacks, c.After = patience, func(d time.Duration) <-chan time.Time { periods <- d; return ended }
	pid := r.pid()
	r.tell("stay", "")
	r.ask(life.Stop, "remote")
	if s := r.server("remote"); s.State != Stopped || alive(pid) {
		t.Errorf("%+v; the process is there: %v", s, alive(pid))
	}
	if left := time.Hour - receive(t, "the stop", periods); left != patience {
		t.Errorf("%v of the grace period are left for the stacks, want %v", left, patience)
	}
	contains(t, field(r.line("its goroutines"), "stacks"), "(*remote).run")
	if l := r.line("did not stop in its grace period, and its process is killed; its log has the stacks of its goroutines"); l.Level != "error" {
		t.Errorf("%+v", l)
	}
	c.LastStacks, c.After = 0, nil
	r.ask(life.Start, "ui")
	r.renewed(pid)
}

// A socket is one over restarts: a client that comes meanwhile is served by the next process.
func TestIsolatedSocket(t *testing.T) {
	r := isolate(t)
	address, pid := r.server("remote").Address, r.pid()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	r.await("remote", Backoff)
	contains(t, r.tell("flags", ""), "plain") // it waits
	if now := r.renewed(pid).Address; now != address {
		t.Errorf("it is at %s, and was at %s", now, address)
	}
	// A server whose code opens a port itself has it to itself.
	if got := r.tell("own", ""); got != "true <nil>" {
		t.Errorf("the port is taken before CloseSockets, and the error then: %s", got)
	}
	pid = r.pid()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	r.renewed(pid)
}

// Where the path of the data folder is too long for a socket it is made elsewhere, and nothing is left of it, whatever
// has ended it.
func TestIsolatedInALongFolder(t *testing.T) {
	temp, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	dir := longFolder(t)
	t.Setenv("TMPDIR", temp)
	r := isolate(t, "--data-dir="+dir)
	c := r.p.Server("remote").at().child
	if u := c.Usage(t.Context(), admin.ServerUsage{}); u.Goroutines == 0 {
		t.Error("its usage is not known")
	}
	pid := r.pid()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	r.await("remote", Backoff)
	// those of the run: its socket, and the other path of the data folder
	if entries := must(os.ReadDir(temp)); len(entries) != 2 {
		t.Errorf("the killed process has left what is among %v", entries)
	}
	r.renewed(pid)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	empty(t, temp)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if base := filepath.Base(path); base != "logs" && base != "iso.lock" && base != foundList {
			t.Errorf("%s is left", base)
		}
	}
}

// What a ready server in a process of its own lacks is told as that of any other.
func TestIsolatedDegraded(t *testing.T) {
	r := isolate(t)
	for _, text := range []string{"no paper", "", "no ink"} {
		r.tell("lack", text)
		eventually(t, "it is told: "+text, func() bool { return r.server("remote").Error == text })
		if s := r.server("remote"); s.State != Ready {
			t.Errorf("it is %v", s.State)
		}
	}
}

// A server in a process of its own sees by itself what is lost, and the run ends.
func TestLostByAnIsolatedServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := isolate(t, "--remote.keeps="+dir)
	if got := r.tell("lost", ""); got != "<nil>" {
		t.Errorf("it sees %s", got)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	err := receive(t, "the end of the run", r.result)
	if err == nil || !strings.Contains(err.Error(), "remote: "+dir+" was deleted while it ran") {
		t.Errorf("error %v", err)
	}
	r.result <- nil
}
