package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Guards hold what has been won: each is a bound with its reason beside it, and none looks at how fast this machine is.
// Whoever has a better reason raises the bound; what grows without one is found here.

// maxBinary is how many bytes the binary may have. The seven upstream binaries whose place it takes have 563 MB, and it
// is to be at most 0.38 of that, which is 214 MB. It has 173 MB. What brings more than a few MB is usually a package
// that has the linker keep every exported method: text/template, or reflect's MethodByName with a name that is no
// constant.
const maxBinary = 180e6

func TestBinarySize(t *testing.T) {
	t.Parallel()
	file, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if file.Size() > maxBinary {
		t.Errorf("%s has %.1f MB, more than %.0f MB: find what has brought them, or raise the bound with the reason",
			binary, float64(file.Size())/1e6, maxBinary/1e6)
	}
}

// idleWindow is for how long requests are counted: somewhat more than the longest period in idleRequests.
const idleWindow = 32 * time.Second

// idleRequests are those that an idle cluster sends, one in each period. What is not here is not sent: not by
// informers, which watch (and watch anew after five minutes at the earliest), nor by probes.
var idleRequests = map[string]struct {
	period time.Duration
	reason string
}{
	"system:apiserver update leases in kube-system":     {10 * time.Second, "the API server's own lease tells other API servers that it lives"},
	"km:executor update leases in kube-node-lease":      {10 * time.Second, "a quarter of the 40 s after which a node without a renewal is lost"},
	"system:apiserver get /openapi/v3":                  {5 * time.Second, "the aggregator looks whether the API server's own schemas have changed"},
	controllers + "resourcequota-controller get /api":   {30 * time.Second, "discovery: kinds that are new, and can be counted"},
	controllers + "resourcequota-controller get /apis":  {30 * time.Second, "discovery: kinds that are new, and can be counted"},
	controllers + "generic-garbage-collector get /api":  {30 * time.Second, "discovery: kinds that are new, and can have owners"},
	controllers + "generic-garbage-collector get /apis": {30 * time.Second, "discovery: kinds that are new, and can have owners"},
}

const controllers = "system:serviceaccount:kube-system:"

// maxGoroutines is how many goroutines each server may have when the cluster is idle: a seventh more than there are,
// which do not depend on the machine. Almost all belong to watches.
var maxGoroutines = map[string]int{
	// 424: six for each of the API server's 69 connections, one of which each kind of object has for its watch
	"etcd": 490,
	// 2522: some twenty for each kind's connection and watch cache; four for each of 129 watches of clients
	"apiserver": 2900,
	// 1487: twelve for each of 63 informers, two for each of 171 who listen to them, and 449 workers
	"controller-manager": 1700,
	// 241: ten for each of 19 informers, and twelve that look for a renewed certificate of its clients
	"scheduler": 265,
	// 92: four workers of each kind, and eight watches, for up to eight nodes; and six for the certificate
	"executor": 100,
	"proxy":    32, // 28: two informers, and six that look for a renewed certificate of its client
	"km":       40, // 32: two for each server and its log, besides the admin API
}

// maxGoroutinesOfAll is less than the sum of the others, so that not all of these grow at once: there are 4855.
const maxGoroutinesOfAll = 5300

// An idle cluster sends no more requests, and has no more goroutines, than there are reasons for.
func TestIdle(t *testing.T) {
	t.Parallel()
	h, dir := newHome(t), t.TempDir()
	policy := writeFile(t, filepath.Join(dir, "policy.yaml"),
		"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n")
	audit := filepath.Join(dir, "audit.log")
	p := h.run(t, "--apiserver.audit-policy-file="+policy, "--apiserver.audit-log-path="+audit)
	t.Run("requests", func(t *testing.T) { testIdleRequests(t, audit) })
	// It is idle by now, and nobody has asked for anything.
	t.Run("goroutines", func(t *testing.T) { testIdleGoroutines(t, h) })
	t.Run("timers", func(t *testing.T) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if slack := strings.TrimSpace(string(text)); slack != "50000000" {
			t.Errorf("timers may be %s ns late, want 50 ms: the process wakes for each of hundreds", slack)
		}
	})
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// testIdleRequests waits until the cluster has sent all that is in idleRequests, and nothing else, for idleWindow, by
// the times at which the API server has received it. What belongs to the start is over by then; what comes again and
// again is not.
func testIdleRequests(t *testing.T, audit string) {
	log := auditLog{file: audit}
	defer func() {
		if t.Failed() {
			t.Logf("requests within the last %v:\n%s", idleWindow, countedRequests(log.received))
		}
	}()
	idle := map[string][]time.Time{} // those since the last one that is not expected
	eventually(t, fmt.Sprintf("all requests in idleRequests, and no other for %v", idleWindow), func() bool {
		received := log.read(t)
		var since, until time.Time
		for kind, times := range received {
			if last := slices.MaxFunc(times, time.Time.Compare); idleRequests[kind].period == 0 && last.After(since) {
				since = last
			} else if last.After(until) {
				until = last
			}
		}
		all := true
		for kind := range idleRequests {
			idle[kind] = slices.DeleteFunc(slices.Clone(received[kind]), since.After)
			all = all && len(idle[kind]) > 0
		}
		return all && until.Sub(since) >= idleWindow
	})
	for kind, allowed := range idleRequests {
		times := slices.SortedFunc(slices.Values(idle[kind]), time.Time.Compare)
		for i := 1; i < len(times); i++ {
			// A busy machine makes them rarer, not more frequent: each period begins when the request before has been
			// answered.
			if apart := times[i].Sub(times[i-1]); apart < allowed.period*4/5 {
				t.Errorf("%q twice within %v, want one in %v (%s)", kind, apart, allowed.period, allowed.reason)
			}
		}
	}
}

// auditLog is a file in which the API server writes what it is asked for.
type auditLog struct {
	file string
	end  int64 // how much of it has been read
	seen map[string]bool
	// received are the times at which requests came, by "USER VERB PATH" or "USER VERB RESOURCE in NAMESPACE".
	received map[string][]time.Time
}

// read reads what has been added, and returns all that has been received.
func (l *auditLog) read(t *testing.T) map[string][]time.Time {
	t.Helper()
	file, err := os.Open(l.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.end, math.MaxInt64-l.end))
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	l.end += int64(len(text))
	if l.seen == nil {
		l.seen, l.received = map[string]bool{}, map[string][]time.Time{}
	}
	for line := range bytes.Lines(text) {
		var event struct {
			AuditID, Verb, RequestURI string
			User                      struct{ Username string }
			ObjectRef                 *struct{ Resource, Namespace string }
			RequestReceivedTimestamp  time.Time
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if l.seen[event.AuditID] { // a watch is told of when it begins and when it ends
			continue
		}
		l.seen[event.AuditID] = true
		what, err := url.Parse(event.RequestURI)
		if err != nil {
			t.Fatal(err)
		}
		kind := event.User.Username + " " + event.Verb + " " + what.Path
		if o := event.ObjectRef; o != nil {
			kind = fmt.Sprintf("%s %s %s in %s", event.User.Username, event.Verb, o.Resource, o.Namespace)
		}
		l.received[kind] = append(l.received[kind], event.RequestReceivedTimestamp)
	}
	return l.received
}

// countedRequests lists those of the last idleWindow, and what is expected and has never come.
func countedRequests(received map[string][]time.Time) string {
	var until time.Time
	for _, times := range received {
		if last := slices.MaxFunc(times, time.Time.Compare); last.After(until) {
			until = last
		}
	}
	var text strings.Builder
	for kind, times := range received {
		expected := ""
		if idleRequests[kind].period == 0 {
			expected = " (not in idleRequests)"
		}
		if n := len(slices.DeleteFunc(slices.Clone(times), until.Add(-idleWindow).After)); n > 0 {
			fmt.Fprintf(&text, "%d × %s%s\n", n, kind, expected)
		}
	}
	for kind := range idleRequests {
		if len(received[kind]) == 0 {
			fmt.Fprintf(&text, "never: %s; if it is not sent any more, take it from idleRequests\n", kind)
		}
	}
	return text.String()
}

func testIdleGoroutines(t *testing.T, h home) {
	var usage struct {
		Servers []struct {
			Name       string
			Goroutines int
		}
	}
	if err := json.Unmarshal([]byte(h.ask(t, "/v1/usage")), &usage); err != nil {
		t.Fatal(err)
	}
	if len(usage.Servers) != len(maxGoroutines) {
		t.Errorf("%d servers, want %d", len(usage.Servers), len(maxGoroutines))
	}
	all := 0
	for _, s := range usage.Servers {
		t.Logf("%s: %d", s.Name, s.Goroutines)
		all += s.Goroutines
		if s.Goroutines == 0 || s.Goroutines > maxGoroutines[s.Name] {
			t.Errorf("%s has %d goroutines, want 1 to %d: find what has started them, or raise the bound with the reason",
				s.Name, s.Goroutines, maxGoroutines[s.Name])
		}
	}
	if all > maxGoroutinesOfAll {
		t.Errorf("%d goroutines in all, want at most %d", all, maxGoroutinesOfAll)
	}
}
