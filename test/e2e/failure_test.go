package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// kept is the folder for what remains of tests that failed, a folder for each: logs, output, stacks.
var kept = filepath.Join("..", "..", "bin", "failed")

// keep keeps a text of a test that failed, and returns where.
func keep(t testing.TB, name, text string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(kept, t.Name(), name))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
	return file
}

// shownLogLines is how many lines of a log somebody may want to read at once, and shownWidth how much of each.
const (
	shownLogLines = 20
	shownWidth    = 400
)

// readable are the last of the lines, as people read them.
func readable(lines []string) string {
	var r logging.Renderer
	var text strings.Builder
	for _, line := range lines[max(0, len(lines)-shownLogLines):] {
		shown := strings.TrimSpace(string(r.Append(nil, []byte(line))))
		if len(shown) > shownWidth {
			shown = shown[:shownWidth] + "…"
		}
		fmt.Fprintf(&text, "    %s\n", shown)
	}
	return text.String()
}

// tell keeps the logs of the km's whose data folders are below a folder. It says which servers failed, with the last
// lines of their logs, and how far each has come; without one that failed, with the last of what they complain of.
func tell(t testing.TB, below string) string {
	var text strings.Builder
	for _, folder := range logFolders(below) {
		// A test may have several homes, each with a cluster of the same name.
		rest := filepath.Join(kept, t.Name(), filepath.Base(below), filepath.Base(filepath.Dir(folder)), "logs")
		// there may be those of the last time
		if err := errors.Join(os.RemoveAll(rest), os.CopyFS(rest, os.DirFS(folder))); err != nil {
			t.Error(err)
		}
		if abs, err := filepath.Abs(rest); err == nil {
			rest = abs
		}
		fmt.Fprintf(&text, "logs are kept in %s\n", rest)
		logs := readLogs(folder)
		failed := slices.DeleteFunc(slices.Clone(logs), func(l serverLog) bool { return l.failure == "" })
		for _, l := range failed {
			fmt.Fprintf(&text, "%s failed:\n%sthe last lines of its log:\n%s", l.server, readable([]string{l.failure}), readable(l.lines[:l.before]))
		}
		var states, complaints []string
		for _, l := range logs {
			if l.state != "" { // the program itself has none
				states = append(states, l.server+" "+l.state)
			}
			complaints = append(complaints, l.complaints...)
		}
		fmt.Fprintf(&text, "the servers, as far as their logs tell: %s\n", strings.Join(states, ", "))
		if len(failed) == 0 && len(complaints) > 0 {
			slices.Sort(complaints) // a line begins with its time
			fmt.Fprintf(&text, "what they complain of last:\n%s", readable(complaints))
		}
	}
	return text.String()
}

// logFolders are those below a folder.
func logFolders(below string) (found []string) {
	_ = filepath.WalkDir(below, func(path string, d fs.DirEntry, err error) error { // who may not be read is left out
		if err == nil && d.IsDir() && d.Name() == "logs" {
			if _, err := os.Stat(filepath.Join(path, "km.log")); err == nil {
				found = append(found, path)
			}
		}
		return nil
	})
	return found
}

// serverLog is what a server's log files say, as JSON lines.
type serverLog struct {
	server     string
	state      string // the last one
	failure    string // the line of the last one, if there is one
	before     int    // how many lines there are until then
	lines      []string
	complaints []string       // lines above info; of those that are alike the last
	alike      map[string]int // where in complaints
}

func (l *serverLog) complain(what, line string) {
	if i, ok := l.alike[what]; ok {
		l.complaints[i] = line
		return
	}
	l.alike[what] = len(l.complaints)
	l.complaints = append(l.complaints, line)
}

func readLogs(folder string) (logs []serverLog) {
	files, _ := filepath.Glob(filepath.Join(folder, "*.log")) // those of a server in the order of their time
	byServer := map[string]*serverLog{}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(-cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, file := range files {
		text, _ := os.ReadFile(file) // what cannot be read says nothing
		for line := range strings.Lines(string(text)) {
			parsed, err := parseLine(line)
			if err != nil {
				continue
			}
			l := byServer[parsed.Server]
			if l == nil {
				l = &serverLog{server: parsed.Server, alike: map[string]int{}}
				byServer[parsed.Server] = l
			}
			l.lines = append(l.lines, line)
			if parsed.Logger == "km" {
				l.state = parsed.Msg
				if parsed.Msg == "failed" {
					l.failure = strings.TrimSpace(line)
					l.before = len(l.lines)
				}
			}
			ending := l.state == "stopping" || l.state == "stopped" // when everybody complains that others are gone
			if parsed.Level != "info" && parsed.Level != "debug" && !ending {
				l.complain(parsed.Caller+parsed.Msg, line)
			}
		}
	}
	for _, l := range byServer {
		logs = append(logs, *l)
	}
	slices.SortFunc(logs, func(a, b serverLog) int { return strings.Compare(a.server, b.server) })
	return logs
}

// running are the processes of the tests.
var running struct {
	sync.Mutex
	all []*process
}

// remember notes that a process runs, until it is to be forgotten.
func remember(p *process) (forget func()) {
	running.Lock()
	defer running.Unlock()
	running.all = append(running.all, p)
	return func() {
		running.Lock()
		defer running.Unlock()
		running.all = slices.DeleteFunc(running.all, func(other *process) bool { return other == p })
	}
}

// runningFor are the processes that a test, or one that it is a part of, or a part of it, has started.
func runningFor(t testing.TB) (found []*process) {
	running.Lock()
	defer running.Unlock()
	partOf := func(a, b string) bool { return a == b || strings.HasPrefix(a, b+"/") }
	for _, p := range running.all {
		if partOf(t.Name(), p.t.Name()) || partOf(p.t.Name(), t.Name()) {
			found = append(found, p)
		}
	}
	return found
}

// quitLimit is how long a process that has been told to print its stacks has for it.
const quitLimit = 20 * time.Second

// quit ends a process and its children. Those in Go print their stacks.
func quit(p *os.Process) error {
	for _, pid := range childrenOf(p.Pid) {
		_ = syscall.Kill(pid, syscall.SIGQUIT) // it may have ended
	}
	return p.Signal(syscall.SIGQUIT)
}

// hang ends a test in which something has not come within patience.
func hang(t testing.TB, what string) {
	t.Helper()
	t.Fatalf("%s: not within %v%s", what, patience, keepStacks(t))
}

// keepStacks keeps the stacks of all whom a test may be waiting for, and says where: the processes that it has started,
// with their children, which it ends, and the tests themselves.
func keepStacks(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, p := range runningFor(t) {
		select {
		case <-p.done: // somebody else may have its number by now
			continue
		default:
		}
		if objects := p.objects(); objects != "" {
			fmt.Fprintf(&text, "\nobjects of the cluster: %s", keep(t, fmt.Sprintf("%d.objects", p.cmd.Process.Pid), objects))
		}
		if err := quit(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		select {
		case <-p.done:
		case <-time.After(quitLimit):
		}
		fmt.Fprintf(&text, "\nstacks of km: %s", keep(t, fmt.Sprintf("%d.stacks", p.cmd.Process.Pid), p.stderr.String()))
	}
	var own bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&own, 2); err != nil {
		t.Error(err)
	}
	fmt.Fprintf(&text, "\nstacks of the tests: %s", keep(t, "tests.stacks", own.String()))
	return text.String()
}

// objects are what the process's cluster has, as kubectl shows it. Where nobody answers, it is the error.
func (p *process) objects() string {
	i := slices.Index(p.cmd.Args, "run")
	if i < 1 || p.cmd.Args[i-1] != binary {
		return "" // it is no cluster
	}
	args := slices.Clone(p.cmd.Args[1:i])
	for _, arg := range p.cmd.Args[i:] {
		if strings.HasPrefix(arg, "--name=") || strings.HasPrefix(arg, "--data-dir=") {
			args = append(args, arg)
		}
	}
	args = append(args, "kubectl", "get", "nodes,pods,events", "--all-namespaces", "--output=wide", "--request-timeout=10s")
	ctx, cancel := context.WithTimeout(context.Background(), quitLimit)
	defer cancel()
	get := exec.CommandContext(ctx, p.cmd.Args[0], args...)
	get.Env, get.WaitDelay = p.cmd.Env, quitLimit
	var out []byte
	err := p.home.call(func() (err error) {
		out, err = get.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Sprintf("%s\n%v\n", out, err)
	}
	return string(out)
}

// patiently does something that ends by what has been caused already. If that takes longer than patience, it hangs.
func patiently(t testing.TB, what string, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := f(ctx)
	if err != nil && ctx.Err() != nil {
		hang(t, what)
	}
	return err
}

// childrenOf are the processes that a process has started, and theirs.
func childrenOf(parent int) (found []int) {
	entries, _ := os.ReadDir("/proc") // elsewhere only the process itself is told
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat")) // it may have ended
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			found = append(append(found, childrenOf(pid)...), pid)
		}
	}
	return found
}

// await waits until the channel has something or is closed, which something that has been caused already will do.
func await[T any](t testing.TB, what string, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		hang(t, what)
	}
	return value
}

// await waits until the process has printed the text there.
func (p *process) await(where *output, text string) {
	p.t.Helper()
	awaitText(p.t, where, text, p.done)
}

// awaitText waits until the text is there, which is printed by what has not ended before.
func awaitText(t testing.TB, where *output, text string, ended <-chan struct{}) {
	t.Helper()
	switch err := where.wait(text, ended); {
	case errors.Is(err, errHang):
		hang(t, fmt.Sprintf("%q", text))
	case err != nil:
		t.Fatalf("%q: %v", text, err)
	}
}

// Of something that hangs there are the stacks, and neither it nor what it has started goes on.
func TestStacksAreKept(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(kept, t.Name())); err != nil {
			t.Error(err)
		}
	})
	h := newHome(t)
	p := h.run(t, "etcd", "--etcd.isolation=process")
	child := h.server(t, "etcd").PID
	if runtime.GOOS == "linux" && !slices.Contains(childrenOf(p.cmd.Process.Pid), child) {
		t.Errorf("process %d is no child", child)
	}
	told := keepStacks(t)
	found := regexp.MustCompile(`(?m)^stacks of .+: (.+)$`).FindAllStringSubmatch(told, -1)
	if len(found) != 2 {
		t.Errorf("want those of km and of the tests: %s", told)
	}
	for _, m := range found {
		if text, err := os.ReadFile(m[1]); err != nil || !strings.Contains(string(text), "\ngoroutine ") {
			t.Errorf("there are no stacks in %s (%v):\n%s", m[1], err, text)
		}
	}
	await(t, "the end of what hangs", p.done)
	eventually(t, "the end of its child", func() bool { return syscall.Kill(child, 0) != nil })
	if again := keepStacks(t); strings.Contains(again, "stacks of km") {
		t.Errorf("one that has ended is told again: %s", again)
	}
}

// What failed is told with the last lines of its log, as people read them, and all logs are kept. What others complain
// of when they are stopped is not among it.
func TestFailureIsTold(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(kept, t.Name())); err != nil {
			t.Error(err)
		}
	})
	line := func(server, level, more string) string {
		v := ""
		if level == "info" {
			v = `,"v":0`
		}
		return fmt.Sprintf(`{"ts":"2026-01-02T15:04:05.000000Z","level":"%s"%s,"server":"%s",%s}`+"\n", level, v, server, more)
	}
	state := func(server, state string) string {
		return line(server, "info", fmt.Sprintf(`"logger":"km","msg":"%s"`, state))
	}
	complaint := line("apiserver", "error", `"caller":"a/b.go:1","msg":"no answer","address":"a:1"`)
	stopped := state("apiserver", "stopping") + line("apiserver", "error", `"caller":"a/b.go:1","msg":"they are gone"`) + state("apiserver", "stopped")
	keptAs := map[string]string{} // what is to be in the files
	for _, test := range []struct {
		name, etcd        string
		tells, tellsNever []string
	}{
		{"one failed", state("etcd", "starting") + line("etcd", "info", `"msg":"reading","path":"db"`) + line("etcd", "error", `"logger":"km","msg":"failed","error":"it is damaged"`),
			[]string{"etcd failed:\n", `E etcd  km: failed error="it is damaged"`, "the last lines of its log:\n", "I etcd  reading path=db", "etcd failed\n"},
			[]string{"no answer", `"msg"`}},
		{"none failed", state("etcd", "starting"),
			[]string{"apiserver stopped, etcd starting\n", "what they complain of last:\n", "E apiserver  no answer address=a:1"},
			[]string{"failed", "they are gone", `"msg"`}},
	} {
		home := t.TempDir()
		dir := filepath.Join(home, "km", "logs")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"km": "", "etcd": test.etcd, "apiserver": state("apiserver", "ready") + complaint + complaint + stopped} {
			writeFile(t, filepath.Join(dir, name+".log"), text)
		}
		told := tell(t, home)
		m := regexp.MustCompile(`logs are kept in (\S+)\n`).FindStringSubmatch(told)
		if m == nil {
			t.Fatalf("%s: it does not tell where logs are:\n%s", test.name, told)
		}
		keptAs[filepath.Join(m[1], "etcd.log")] = test.etcd
		told = strings.ReplaceAll(told, m[1], "")
		for _, want := range test.tells {
			if !strings.Contains(told, want) {
				t.Errorf("%s: no %q in\n%s", test.name, want, told)
			}
		}
		for _, text := range test.tellsNever {
			if strings.Contains(told, text) {
				t.Errorf("%s: %q is in\n%s", test.name, text, told)
			}
		}
		if strings.Count(told, "no answer") > 1 {
			t.Errorf("%s: it is told twice:\n%s", test.name, told)
		}
	}
	if len(keptAs) != 2 {
		t.Errorf("two homes share what is kept: %v", keptAs)
	}
	for file, want := range keptAs {
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s: %v, %s", file, err, text)
		}
	}
}
