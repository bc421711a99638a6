package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor"
)

// all are the servers.
var all = []string{"alertmanager", "node-exporter", "prometheus"}

// often has Prometheus look for targets, and send alerts again, more often than it does by itself.
var often = []string{"--prometheus.scrape.discovery-reload-interval=100ms", "--prometheus.rules.alert.resend-delay=1s"}

// write writes a file of the test's, and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The servers work together: Prometheus scrapes all three, and an alert of its rules goes to the Alertmanager, and from
// there to whoever is to be notified. While the Alertmanager restarts, the others go on.
func TestTogether(t *testing.T) {
	t.Parallel()
	notified := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n struct {
			Alerts []struct{ Labels map[string]string }
		}
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		for _, a := range n.Alerts {
			notified <- a.Labels["alertname"]
		}
	}))
	defer hook.Close()
	config := write(t, "alertmanager.yml", fmt.Sprintf("route: {receiver: test, group_wait: 0s}\n"+
		"receivers: [{name: test, webhook_configs: [{url: %q}]}]\n", hook.URL))
	s := start(t, append(often, "--alertmanager.config.file="+config)...)

	eventually(t, s.scrapes)
	select {
	case name := <-notified:
		if name != "Watchdog" {
			t.Errorf("alert %s", name)
		}
	case <-time.After(patience):
		t.Fatal("nobody is notified")
	}

	before := s.servers()
	s.must("restart", "alertmanager")
	after := s.servers()
	for _, name := range all {
		restarts := 0
		if name == "alertmanager" {
			restarts = 1
		}
		if a, b := after[name], before[name]; a.Restarts != restarts || a.State != supervisor.Ready || a.Address != b.Address {
			t.Errorf("%s: %+v, before %+v", name, a, b)
		}
	}
	// It keeps alerts in memory: what is there has come since.
	eventually(t, s.alerts)
	eventually(t, s.scrapes)

	s.logsAreApart()
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// The first is that of the restart: what needs it goes on. At the end that stops first.
	s.inOrder("alertmanager stopping", "prometheus stopped", "alertmanager stopping")
}

// scrapes returns nil if Prometheus has scraped all servers.
func (s *stack) scrapes() error {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := s.get("prometheus", "/api/v1/query?query=up", &answer); err != nil {
		return err
	}
	var up []string
	for _, r := range answer.Data.Result {
		if r.Value[1] == "1" && "http://"+r.Metric["instance"] == s.servers()[r.Metric["job"]].Address {
			up = append(up, r.Metric["job"])
		}
	}
	if slices.Sort(up); !slices.Equal(up, all) {
		return fmt.Errorf("up: %v", answer.Data.Result)
	}
	return nil
}

// alerts returns nil if the Alertmanager knows the one that is always there.
func (s *stack) alerts() error {
	var alerts []struct{ Labels map[string]string }
	if err := s.get("alertmanager", "/api/v2/alerts", &alerts); err != nil {
		return err
	}
	if len(alerts) != 1 || alerts[0].Labels["alertname"] != "Watchdog" {
		return fmt.Errorf("alerts: %v", alerts)
	}
	return nil
}

// logsAreApart checks that each server's lines, and no others, are in its file and in what `prom logs` shows of it.
func (s *stack) logsAreApart() {
	s.t.Helper()
	says := map[string]string{
		"alertmanager":  "Starting Alertmanager",
		"node-exporter": "Enabled collectors",
		"prometheus":    "Server is ready to receive web requests.",
	}
	for _, name := range all {
		text := s.must("logs", name, "-o", "json")
		found := 0
		for line := range strings.Lines(text) {
			var l struct{ Server, Msg string }
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				s.t.Fatal(err)
			}
			if l.Server != name {
				s.t.Errorf("in the log of %s: %s", name, line)
			}
			for other, msg := range says {
				if l.Msg == msg && other != name {
					s.t.Errorf("%s, and not %s, says %q", name, other, msg)
				} else if l.Msg == msg {
					found++
				}
			}
		}
		if found == 0 {
			s.t.Errorf("%s does not say %q:\n%s", name, says[name], text)
		}
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "logs", "prom.log")); err != nil || len(text) > 0 {
		s.t.Errorf("of no server: %s (%v)", text, err)
	}
}

// inOrder checks that standard output has told these things in that order: a server and its state.
func (s *stack) inOrder(things ...string) {
	s.t.Helper()
	var told []string
	for _, line := range s.lines() {
		if words := strings.Fields(line); len(words) > 1 {
			if thing := words[0] + " " + words[1]; slices.Contains(things, thing) {
				told = append(told, thing)
			}
		}
	}
	if !slices.Equal(told, things) {
		s.t.Errorf("%q, want %q", told, things)
	}
}

// What fails is started again, and the others go on: one in a process of its own that is killed, one that ends by
// itself, and one that cannot start until somebody repairs it.
func TestFailures(t *testing.T) {
	t.Parallel()
	s := start(t, "--keep-going", "--node-exporter.isolation=process", "--prometheus.restart=always", "--prometheus.web.enable-lifecycle")
	before := s.servers()

	if err := syscall.Kill(before["node-exporter"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.becomes("node-exporter", "starting ready backoff starting ready")

	answer, err := http.Post(before["prometheus"].Address+"/-/quit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	s.becomes("prometheus", "starting ready backoff starting ready")

	s.must("stop", "alertmanager", "--yes")
	s.becomes("prometheus", "starting ready backoff starting ready stopping stopped") // it needs it
	folder := filepath.Join(s.dir, "alertmanager")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run("start", "alertmanager"); err == nil || !strings.Contains(out, "not a directory") {
		t.Fatalf("prom start: %v\n%s", err, out)
	}
	s.becomes("alertmanager", "starting ready stopping stopped"+strings.Repeat(" starting backoff", 4)+" starting failed")
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	s.must("start", "alertmanager", "prometheus")

	after := s.servers()
	for _, name := range all {
		if server := after[name]; server.State != supervisor.Ready || server.Address != before[name].Address {
			t.Errorf("%s: %+v, before %+v", name, server, before[name])
		}
	}
	s.becomes("node-exporter", "starting ready backoff starting ready") // since
	eventually(t, s.scrapes)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// becomes waits until a server has gone through these states, from the beginning of the run on. That it has waited is
// left out.
func (s *stack) becomes(server, states string) {
	s.t.Helper()
	eventually(s.t, func() error {
		var seen []string
		for _, e := range s.events() {
			if e.Server == server && e.To != supervisor.Waiting {
				seen = append(seen, e.To.String())
			}
		}
		if got := strings.Join(seen, " "); got != states {
			return fmt.Errorf("%s: %s, want %s", server, got, states)
		}
		return nil
	})
}

// A configuration that is wrong is found before the server is touched that runs.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	config := write(t, "alertmanager.yml", alertmanagerConfig)
	s := start(t, "--alertmanager.config.file="+config)
	if err := os.WriteFile(config, []byte("route: {receiver: nobody}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := s.run("restart", "alertmanager")
	if err == nil || !strings.Contains(out, "--alertmanager.config.file="+config+`: undefined receiver "nobody" used in route`) {
		t.Errorf("prom restart: %v\n%s", err, out)
	}
	s.becomes("alertmanager", "starting ready")
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A server that others need is ready before they start. A port of 0 is a free one, which the others know, and which
// stays with the server.
func TestOrderAndPorts(t *testing.T) {
	t.Parallel()
	s := start(t, append(often, "--alertmanager.web.listen-address=127.0.0.1:0")...)
	ready := false
	for _, e := range s.events() {
		ready = ready || e.Server == "alertmanager" && e.To == supervisor.Ready
		if e.Server == "prometheus" && e.To == supervisor.Starting && !ready {
			t.Error("prometheus starts before the alertmanager is ready")
		}
	}
	address := s.servers()["alertmanager"].Address
	if !strings.HasPrefix(address, "http://127.0.0.1:") || strings.HasSuffix(address, ":0") {
		t.Errorf("the alertmanager is at %s", address)
	}
	s.must("restart", "alertmanager", "prometheus")
	if again := s.servers()["alertmanager"].Address; again != address {
		t.Errorf("after a restart it is at %s, and was at %s", again, address)
	}
	eventually(t, s.alerts)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What is wrong is found before anything starts.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := write(t, "bad.yml", "scrape_configs: [{job_name: twice}, {job_name: twice}]\n")
	for _, test := range []struct{ flag, want string }{
		{"--prometheus.storage.tsdb.paths=x", "unknown flag: --prometheus.storage.tsdb.paths (did you mean --prometheus.storage.tsdb.path?)"},
		{"--prometheus.query.timeout=soon", `invalid argument "soon" for "--prometheus.query.timeout" flag`},
		{"--node-exporter.collector.wifi=maybe", `invalid argument "maybe" for "--node-exporter.collector.wifi" flag`},
		{"--prometheus.config.file=" + bad, "--prometheus.config.file=" + bad + ": parsing YAML file " + bad + `: found multiple scrape configs with job name "twice"`},
		{"--alertmanager.web.listen-address=" + taken.Addr().String(), "is taken; choose another with --alertmanager.web.listen-address, or let prom choose with --free-ports"},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		out, err := exec.Command(binary, "run", "--free-ports", "--data-dir="+dir, test.flag).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: %v, want exit code 2 and %q:\n%s", test.flag, err, test.want, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "prometheus")); err == nil {
			t.Errorf("%s: prometheus has started", test.flag)
		}
	}
}

// Under its own name the binary is that server and nothing else, with upstream's flags.
func TestAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command(binary, "--make-symlinks", "--dir="+dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := exec.Command(filepath.Join(dir, "node_exporter"), "--web.listen-address=127.0.0.1:0", "--no-collector.arp")
	log, err := p.StderrPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // it may have ended
	address := ""
	lines := bufio.NewScanner(log)
	for address == "" && lines.Scan() {
		_, address, _ = strings.Cut(lines.Text(), "Listening on address=")
		if strings.Contains(lines.Text(), `"arp"`) {
			t.Errorf("it has a collector that is off: %s", lines.Text())
		}
	}
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "\nnode_load1 ") {
		t.Errorf("metrics: %v\n%s", err, text)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, log) // until it has ended
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
