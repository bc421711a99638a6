package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// servers are those that a plain `km run` runs.
var servers = []string{"etcd", "apiserver", "controller-manager", "scheduler", "executor", "proxy"}

// logLine is a line of a log file.
type logLine struct {
	text   string
	time   time.Time
	Ts     string
	Level  string
	V      *int
	Server string
	Logger string
	Caller string
	Msg    string
	Lost   *int `json:"lines of no server"`
}

// file is where in the code it was written: "DIR/FILE.go".
func (l *logLine) file() string {
	file, _, _ := strings.Cut(l.Caller, ".go:")
	return file + ".go"
}

func (l *logLine) verbosity() int {
	if l.V == nil {
		return -1
	}
	return *l.V
}

// parseLine reads a line. An error says what is wrong with it.
func parseLine(text string) (*logLine, error) {
	l := &logLine{text: text}
	if err := json.Unmarshal([]byte(text), l); err != nil {
		return nil, err
	}
	// What each line has stands there once, whatever the fields are called that it was written with.
	d := json.NewDecoder(strings.NewReader(text))
	seen := map[string]int{}
	var value json.RawMessage
	for _, err := d.Token(); err == nil && d.More(); err = d.Decode(&value) {
		key, _ := d.Token()
		seen[key.(string)]++
	}
	for _, key := range []string{"ts", "level", "v", "server", "logger", "caller", "msg"} {
		if seen[key] > 1 {
			return nil, fmt.Errorf("%d times %q", seen[key], key)
		}
	}
	var err error
	if l.time, err = time.Parse("2006-01-02T15:04:05.000000Z", l.Ts); err != nil {
		return nil, err
	}
	levels := []string{"debug", "info", "warn", "error", "fatal"}
	if !slices.Contains(levels, l.Level) || seen["msg"] == 0 || l.Server == "" || (l.V != nil) != (l.Level == "info") {
		return nil, fmt.Errorf("level %q, verbosity %v, server %q, %d messages", l.Level, l.verbosity(), l.Server, seen["msg"])
	}
	return l, nil
}

// renamed are the names of log files that were full: what they were called, and when.
var renamed = regexp.MustCompile(`^(.+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$`)

// logFiles are the files in which a log is, by its name; the oldest first.
func (h home) logFiles(t testing.TB) map[string][]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dataDir("km"), "logs"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]string{}
	current := map[string]string{}
	for _, e := range entries { // sorted by name
		file := filepath.Join(h.dataDir("km"), "logs", e.Name())
		if m := renamed.FindStringSubmatch(e.Name()); m != nil {
			files[m[1]] = append(files[m[1]], file)
		} else {
			current[strings.TrimSuffix(e.Name(), ".log")] = file
		}
	}
	for name, file := range current {
		files[name] = append(files[name], file)
	}
	return files
}

// logText is all that is in a server's log files.
func (h home) logText(t testing.TB, name string) string {
	t.Helper()
	var all []byte
	for _, file := range h.logFiles(t)[name] {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return string(all)
}

// logLines are the lines of a server's log files. Each must be a good one, and the server's.
func (h home) logLines(t testing.TB, name string) []*logLine {
	t.Helper()
	text := h.logText(t, name)
	if text != "" && !strings.HasSuffix(text, "\n") {
		t.Errorf("%s: the last line is not a whole one", name)
	}
	var all []*logLine
	for line := range strings.Lines(text) {
		l, err := parseLine(line)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, line)
			continue
		}
		if l.Server != name {
			t.Errorf("in the file of %s there is a line of %s:\n%s", name, l.Server, line)
		}
		all = append(all, l)
	}
	return all
}

// ownCode are the import paths of code that one server alone runs, and of what is below them. What is not here is run
// by several, or by who knows whom.
var ownCode = map[string][]string{
	"etcd": {"go.etcd.io/etcd/server/v3", "go.etcd.io/raft/v3", "go.etcd.io/bbolt"},
	"apiserver": {
		"k8s.io/apiextensions-apiserver", "k8s.io/kube-aggregator",
		"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/pkg/controlplane", "k8s.io/kubernetes/pkg/kubeapiserver",
		"k8s.io/kubernetes/pkg/registry", "k8s.io/kubernetes/plugin/pkg/admission", "k8s.io/kubernetes/plugin/pkg/auth",
		"k8s.io/apiserver/pkg/admission", "k8s.io/apiserver/pkg/endpoints/handlers", "k8s.io/apiserver/pkg/endpoints/discovery",
		"k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "k8s.io/apiserver/pkg/util/flowcontrol",
		"k8s.io/apiserver/pkg/util/peerproxy", "go.etcd.io/etcd/client/v3",
	},
	"controller-manager": {"k8s.io/kubernetes/cmd/kube-controller-manager", "k8s.io/kubernetes/pkg/controller", "k8s.io/controller-manager"},
	"scheduler":          {"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/pkg/scheduler"},
	"executor":           {"sigs.k8s.io/kwok", "github.com/seed-200a7251/km/servers/executor"},
	"proxy":              {"k8s.io/kubernetes/pkg/proxy"},
}

// authors are the servers that alone can have written a line, by the file of the code that it names.
func authors(t *testing.T) map[string]string {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", `{{.ImportPath}} {{.Dir}} {{join .GoFiles " "}}`, "./cmd/km")
	list.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	author := func(pkg string) string {
		for server, paths := range ownCode {
			for _, p := range paths {
				if pkg == p || strings.HasPrefix(pkg, p+"/") {
					return server
				}
			}
		}
		return ""
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, file := range words[2:] {
			key := path.Join(filepath.Base(words[1]), file)
			if other, ok := found[key]; ok && other != author(words[0]) {
				found[key] = "" // two packages look the same in a line
			} else {
				found[key] = author(words[0])
			}
		}
	}
	return found
}

const tea = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: teas.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: teas, singular: tea, kind: Tea}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// doomed is a namespace with objects in it. Its pods have no grace period: one that is left when the namespace
// controller has deleted everything costs another 5 s.
const doomed = `apiVersion: v1
kind: Namespace
metadata: {name: doomed}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: object, namespace: doomed}
data: {key: value}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: doomed, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: example.invalid/web}]}
`

// busy has all servers do something: a deployment is rolled out and changed, a namespace with objects in it is deleted,
// and a custom resource comes and goes.
func (h home) busy(t *testing.T) {
	t.Helper()
	for _, command := range []string{
		"create -f " + writeFile(t, filepath.Join(h.dir, "doomed.yaml"), doomed),
		"-n doomed wait --for=create pod -l app=web " + patient,
		// Upstream's namespace controller looks at it 5 s after each of its changes (namespaceDeletionGracePeriod): it
		// is waited for at the end.
		"delete namespace doomed --wait=false",
		"create deployment web --image=example.invalid/web --replicas=3",
		"wait --for=create pod -l app=web " + patient,
		"rollout status deployment/web " + patient,
		"set image deployment/web web=example.invalid/web:2",
		"rollout status deployment/web " + patient,
		"scale deployment/web --replicas=1",
		"create -f " + writeFile(t, filepath.Join(h.dir, "crd.yaml"), tea),
		"wait crd/teas.example.com --for=condition=Established " + patient,
		"create -f " + writeFile(t, filepath.Join(h.dir, "tea.yaml"), "{apiVersion: example.com/v1, kind: Tea, metadata: {name: green}}\n"),
		"get teas",
		"delete crd teas.example.com " + patient,
		"delete deployment web " + patient,
		"wait --for=delete namespace/doomed " + patient,
	} {
		h.must(t, append([]string{"kubectl"}, strings.Fields(command)...)...)
	}
}

// addresses are where the servers listen that serve HTTP.
func addresses(stdout string) map[string]string {
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  (\S+) +ready .* (https://\S+)$`).FindAllStringSubmatch(stdout, -1) {
		found[m[1]] = m[2]
	}
	return found
}

// Each line is in the file of the server that wrote it: all of them, over two runs in which much happens.
func TestEachLineIsItsServers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	type span struct{ begin, end time.Time }
	var spans []span
	shown := map[string]int{} // lines on the terminal
	for range 2 {
		begin := time.Now()
		p := h.run(t, "--log-level=v=4", "--log-format=json")
		h.busy(t)
		// The same code serves HTTP in three servers. Who was asked is to be seen in the lines.
		found := addresses(p.stdout.String())
		for server, address := range found {
			r, err := client.Get(address + "/asked-" + server)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
		}
		if len(found) != 3 {
			t.Errorf("servers that serve HTTP: %v", found)
		}
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		spans = append(spans, span{begin, time.Now()})
		for line := range strings.Lines(p.stderr.String()) {
			shown[line]++
		}
	}

	program := h.logLines(t, "km")
	runs, lines, told, astray := 0, 0, 0, 0 // told: which say whose they are
	for _, l := range program {
		if l.Msg == "the servers have ended" {
			if runs++; l.Lost == nil || *l.Lost != 0 {
				t.Errorf("there are lines of no server: %s", l.text)
			}
			continue
		}
		shown[l.text]--
		if l.file() != "compatibility/registry.go" { // which is for all servers
			lines++
			told++
			astray++
			t.Errorf("of no server: %s", l.text)
		}
	}
	if runs != 2 {
		t.Errorf("%d runs have ended, want 2", runs)
	}
	if files := h.logFiles(t); len(files) != 1+len(servers) {
		t.Errorf("log files: %v", files)
	}

	life := []string{"starting", "ready", "stopping", "stopped"}
	authors := authors(t)
	for _, server := range servers {
		all := h.logLines(t, server)
		lines += len(all)
		var last time.Time
		var back time.Duration
		checked := map[string]int{} // files of the code that only one server runs
		n, asked, run := 0, 0, 0
		var states []string
		var times []time.Time // of the states
		for _, l := range all {
			// One run after the other.
			if next := run + 1; next < len(spans) && len(states) == next*len(life) && !l.time.Before(spans[next].begin) {
				run = next
			}
			if s := spans[run]; l.time.Before(s.begin) || l.time.After(s.end) {
				t.Errorf("not the time of this run, from %v to %v: %s", s.begin, s.end, l.text)
			}
			// Within a run a goroutine takes the time before it writes, and a busy machine may hold it up in between;
			// but not for as long as a server is ready here, while namespaces wait for seconds.
			if n := len(times); n >= 3 && l.time.Before(times[n-3]) {
				t.Errorf("written after %q, it is of before %q, which was at %v: %s", states[n-1], states[n-3], times[n-3], l.text)
			}
			back = max(back, last.Sub(l.time))
			if l.time.After(last) {
				last = l.time
			}
			shown[l.text]--
			switch author := authors[l.file()]; {
			case l.Logger == "km":
				states, times = append(states, l.Msg), append(times, l.time)
				shown[l.text]++ // it is shown in another way
			case author == server:
				checked[l.file()]++
				n++
				told++
			case author != "":
				told++
				astray++
				t.Errorf("in the file of %s there is a line that only %s can have written:\n%s", server, author, l.text)
			}
			if strings.Contains(l.Caller, "httplog.go") && strings.Contains(l.text, `"/asked-`) {
				told++
				if asked++; !strings.Contains(l.text, `"/asked-`+server+`"`) {
					astray++
					t.Errorf("in the file of %s there is a line about another server's request:\n%s", server, l.text)
				}
			}
		}
		if len(checked) < 4 && server != "proxy" { // the code of a simulated one has little to say
			t.Errorf("%s: only %d files of its own code are named", server, len(checked))
		}
		if server != "etcd" && server != "executor" && server != "proxy" && asked != 2 {
			t.Errorf("%s: %d lines about the requests that it was sent, want 2", server, asked)
		}
		if diff := cmp.Diff(slices.Repeat(life, len(spans)), states); diff != "" {
			t.Errorf("states of %s (-want +got):\n%s", server, diff)
		}
		t.Logf("%s: %d lines, %d of them from %d files that only it can have written; the time goes back by %v at most", server, len(all), n, len(checked), back)
	}
	// The benchmark reads this.
	t.Logf("all servers: %d lines; of %d that say whose they are, %d are not in the right file", lines, told, astray)
	// What is logged is shown, too, where a level is asked for: each line once.
	for line, n := range shown {
		if n != 0 {
			t.Errorf("%d times more on the terminal than in the files: %s", n, line)
		}
	}
}

// shownLines are the lines on standard error, by server, of a run with --log-format=json.
func (p *process) shownLines() map[string][]*logLine {
	p.t.Helper()
	shown := map[string][]*logLine{}
	for line := range strings.Lines(p.stderr.String()) {
		l, err := parseLine(line)
		if err != nil {
			p.t.Errorf("on the terminal: %v\n%s", err, line)
			continue
		}
		shown[l.Server] = append(shown[l.Server], l)
	}
	return shown
}

// A server's level, and the verbosity of a file of its code, are its own, although all share klog and much of the code.
func TestLevelsOfOneServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flag, server string
		want         func(l *logLine) bool // lines above info that are to be there
	}{
		{"--scheduler.v=4", "scheduler", func(l *logLine) bool { return l.verbosity() <= 4 }},
		{"--controller-manager.vmodule=reflector=4,graph_builder=5", "controller-manager", func(l *logLine) bool {
			return l.file() == "cache/reflector.go" && l.verbosity() <= 4 || l.file() == "garbagecollector/graph_builder.go" && l.verbosity() <= 5
		}},
	} {
		t.Run(test.flag, func(t *testing.T) {
			h := newHome(t)
			p := h.run(t, test.flag, "--log-format=json")
			h.must(t, "kubectl", "create", "deployment", "web", "--image=example.invalid/web")
			h.must(t, "kubectl", "wait", "--for=create", "pod", "-l", "app=web", patient)
			h.must(t, "kubectl", "wait", "pod", "-l", "app=web", "--for=condition=PodScheduled", patient)
			if code := p.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			shown := p.shownLines()
			for _, name := range append(servers, "km") {
				inFile := h.logLines(t, name)
				for _, l := range inFile {
					if l.verbosity() > 0 && (name != test.server || !test.want(l)) {
						t.Errorf("nobody asked for it: %s", l.text)
					}
				}
				if name != test.server {
					for _, l := range shown[name] {
						if l.Level == "info" || l.Level == "debug" {
							t.Errorf("it is shown: %s", l.text)
						}
					}
					continue
				}
				raised := verbosities(inFile)
				if len(raised) < 2 || slices.Max(slices.Collect(maps.Values(raised))) < 4 {
					t.Errorf("verbosities in the file of %s, by file of the code: %v", name, raised)
				}
				if diff := cmp.Diff(raised, verbosities(shown[name])); diff != "" {
					t.Errorf("verbosities in the file and on the terminal (-file +terminal):\n%s", diff)
				}
			}
		})
	}
}

// verbosities are the highest verbosities above info, by the file of the code.
func verbosities(lines []*logLine) map[string]int {
	found := map[string]int{}
	for _, l := range lines {
		if l.verbosity() > 0 {
			found[l.file()] = max(found[l.file()], l.verbosity())
		}
	}
	return found
}

// allReady is when the last of the servers has become ready.
func (h home) allReady(t *testing.T) (last time.Time) {
	t.Helper()
	for _, server := range servers {
		for _, l := range h.logLines(t, server) {
			if l.Logger == "km" && l.Msg == "ready" && l.time.After(last) {
				last = l.time
			}
		}
	}
	return last
}

// onScreen is how a line of a log begins on the screen: its time, level and server.
var onScreen = regexp.MustCompile(`^(\d\d:\d\d:\d\d\.\d{3}) (\S \S+) `)

// clockBefore reports whether a time of day, which is less than half a day away, is before another time, both in UTC.
func clockBefore(t *testing.T, clock string, other time.Time) bool {
	t.Helper()
	at, err := time.Parse(time.DateOnly+" 15:04:05.000", other.Format(time.DateOnly)+" "+clock)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	before := (other.Truncate(time.Millisecond).Sub(at) + day) % day
	return before > 0 && before < day/2
}

// A time of day is before another one also over midnight.
func TestClockBefore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		clock, other string
		want         bool
	}{
		{"12:00:00.000", "12:00:00.001", true},
		{"12:00:00.001", "12:00:00.0019", false},
		{"12:00:00.002", "12:00:00.001", false},
		{"23:59:59.999", "00:00:00.000", true},
		{"00:00:00.000", "23:59:59.999", false},
	} {
		other, err := time.Parse("15:04:05", test.other)
		if err != nil {
			t.Fatal(err)
		}
		if got := clockBefore(t, test.clock, other); got != test.want {
			t.Errorf("%s is before %s: %t, want %t", test.clock, test.other, got, test.want)
		}
	}
}

// A start that goes well shows no line of a log, and what it shows fits on a screen.
func TestFirstScreen(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	// In this zone the screen's times are those of the files.
	utc := func(c *exec.Cmd) { c.Env = append(c.Env, "TZ=UTC") }
	p := h.startWith(t, utc, binary, "run", "--free-ports")
	p.waitReady()
	// On a machine that is so busy that a server needs longer than this, what it says is shown, and is to be.
	const patient = 14 * time.Second
	slow := false
	for _, m := range regexp.MustCompile(`(?m)^  \S+ +ready +(\S+s)`).FindAllStringSubmatch(p.stdout.String(), -1) {
		took, err := time.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		slow = slow || took > patient
	}
	var shown []string
	ready := h.allReady(t)
	for _, line := range lines(p.stderr.String()) {
		// etcd's disk may be slow, and that is worth a line; so is what comes later.
		if m := onScreen.FindStringSubmatch(line); m == nil || m[2] != "W etcd" && clockBefore(t, m[1], ready) {
			shown = append(shown, line)
		}
	}
	if len(shown) > 0 && !slow {
		t.Errorf("on standard error:\n%s", strings.Join(shown, "\n"))
	}
	if n := strings.Count(p.stdout.String(), "\n"); n > 24 {
		t.Errorf("%d lines are more than a screen:\n%s", n, p.stdout)
	}
	// What is not shown is in the files.
	for _, server := range servers {
		eventually(t, "a line of "+server+" itself", func() bool { // it may come a moment after it is ready
			out := h.must(t, "logs", server)
			return strings.Contains(out, "km: ready") && slices.ContainsFunc(lines(out), func(line string) bool { return !strings.Contains(line, "km: ") })
		})
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Whoever follows the logs gets each line once and misses none, also while files are renamed because they are full.
func TestFollowOverRenamedFiles(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--log-level=v=5", "--log-max-size=1", "--log-max-backups=1000")
	follower := h.start(t, binary, "logs", "-f", "-o", "json")
	follower.await(follower.stdout, "\n")
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
	const more = 3
	before := len(h.logFiles(t)["apiserver"])
	eventually(t, "full log files", func() bool {
		for range 50 {
			if err := patiently(t, "a list", func(ctx context.Context) error {
				_, err := client.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{})
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		return len(h.logFiles(t)["apiserver"]) >= before+more
	})
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var all []string
	for name, files := range h.logFiles(t) {
		all = slices.AppendSeq(all, strings.Lines(h.logText(t, name)))
		for _, file := range files {
			// The last line that fits is followed by others that were written with it.
			if info, err := os.Stat(file); err != nil || info.Size() > 1<<20+1<<18 {
				t.Errorf("a file of %d bytes (%v)", info.Size(), err)
			}
		}
	}
	poll(t, "all lines", func(context.Context) (bool, error) {
		return strings.Count(follower.stdout.String(), "\n") >= len(all), nil
	})
	if code := follower.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit code of km logs -f: %d, want 0", code)
	}
	if text := follower.stderr.String(); text != "" {
		t.Errorf("km logs -f has complained: %s", text)
	}
	count := map[string]int{}
	for _, line := range all {
		count[line]++
	}
	for line := range strings.Lines(follower.stdout.String()) {
		count[line]--
	}
	for line, n := range count {
		if n != 0 {
			t.Errorf("%d times in the files more than shown: %s", n, line)
		}
	}
	t.Logf("%d lines; the apiserver's are in %d files", len(all), len(h.logFiles(t)["apiserver"]))

	// Without -f it is the same, in the order of time.
	printed := slices.Collect(strings.Lines(h.must(t, "logs", "-o", "json")))
	if len(printed) != len(all) {
		t.Errorf("km logs shows %d lines of %d", len(printed), len(all))
	}
	last, back := "", 0
	for _, line := range printed {
		if ts := line[:min(len(line), len(`{"ts":"2006-01-02T15:04:05.000000`))]; ts < last {
			back++
		} else {
			last = ts
		}
	}
	if back > 0 {
		t.Errorf("%d lines are shown after later ones", back)
	}
}

// Lines reach the files by themselves, while the servers have nothing else to log than what a few other objects cause.
// A kill -9 takes nothing from the files, leaves no line but the last one damaged, and the next run goes on behind it.
// (How soon lines are written is measured with a fake clock: logging, TestLinesAreWrittenTogether.)
func TestLogsAfterKill(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--log-level=v=4", "--etcd.log-level=debug")
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))

	// Each of these is in the logs of all servers when the scheduler has looked at it; a simulated proxy names nothing.
	logged := func(marker string) (missing []string) {
		for _, server := range servers {
			if server != "proxy" && !strings.Contains(h.logText(t, server), marker) {
				missing = append(missing, server)
			}
		}
		return missing
	}
	const first, atMost = "marker-0", 4 // the writer's pause is milliseconds
	for n := 0; n == 0 || len(logged(first)) > 0; n++ {
		if n == atMost {
			t.Fatalf("%d others have been looked at since then, and nothing of %s is in the logs of %v", n-1, first, logged(first))
		}
		name := fmt.Sprintf("marker-%d", n)
		h.must(t, "kubectl", "create", "deployment", name, "--image=example.invalid/web")
		poll(t, name, func(ctx context.Context) (bool, error) {
			pods, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
			return err == nil && slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning }), err
		})
	}
	written := map[string]string{}
	for _, server := range servers {
		written[server] = h.logText(t, server)
	}
	if code := p.stop(syscall.SIGKILL); code != -1 {
		t.Errorf("exit code %d, want the signal", code)
	}

	for _, server := range servers {
		text := h.logText(t, server)
		if !strings.HasPrefix(text, written[server]) {
			t.Errorf("%s: what was in the file before the kill is not there any more", server)
		}
		all := strings.SplitAfter(text, "\n")
		// The last one is what comes after the last end of a line: nothing, or what was not written to the end.
		for _, line := range all[:len(all)-1] {
			if _, err := parseLine(line); err != nil {
				t.Errorf("%s: %v\n%s", server, err, line)
			}
		}
		// As if the disk had been full, or the kernel had died, in the middle of a line.
		if err := appendFile(h.logFiles(t)[server][0], `{"ts":"2026-`); err != nil {
			t.Fatal(err)
		}
	}

	p = h.run(t)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for _, server := range servers {
		damaged := 0
		for line := range strings.Lines(h.logText(t, server)) {
			if _, err := parseLine(line); err != nil {
				damaged++
			}
		}
		if damaged != 1 {
			t.Errorf("%s: %d lines cannot be read, want the one", server, damaged)
		}
		out := h.must(t, "logs", server)
		if server != "proxy" && !strings.Contains(out, first) || !strings.Contains(out, `{"ts":"2026-`+"\n") || !strings.Contains(out, "km: stopped") {
			t.Errorf("km logs %s does not show both runs, and what lies between them", server)
		}
	}
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
