package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// load writes objects and keeps pods coming and going, as long as it is not ended. What fails is tried again.
type load struct {
	client kubernetes.Interface
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu           sync.Mutex
	acknowledged []string
	refused      map[string]int // reasons
}

// newLoad begins.
func (h home) newLoad(t testing.TB) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{client: kubernetes.NewForConfigOrDie(h.config(t, "km")), cancel: cancel, refused: map[string]int{}}
	h.must(t, "kubectl", "create", "deployment", "load", "--image=app", "--replicas=2")
	l.done.Go(func() { l.write(ctx) })
	l.done.Go(func() { l.scale(ctx) })
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.cancel()
	l.done.Wait() // what they ask ends with the context
}

// write creates one ConfigMap after the other.
func (l *load) write(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("written-%06d", n)
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"n": strconv.Itoa(n)}}
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := l.client.CoreV1().ConfigMaps("default").Create(one, object, metav1.CreateOptions{})
		cancel()
		l.mu.Lock()
		if err == nil {
			l.acknowledged = append(l.acknowledged, name)
		} else {
			l.refused[string(apierrors.ReasonForError(err))]++
		}
		l.mu.Unlock()
		pause := 20 * time.Millisecond
		if err != nil {
			pause = 100 * time.Millisecond
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// scale changes the number of pods now and then.
func (l *load) scale(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		// What is refused while a server is away is asked again in a moment.
		patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, 1+n%4)
		_, _ = l.client.AppsV1().Deployments("default").Patch(ctx, "load", "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// check checks that all that was acknowledged is there.
func (l *load) check(t *testing.T) {
	t.Helper()
	there := map[string]bool{}
	poll(t, "the list of what was written", func(ctx context.Context) (bool, error) {
		all, err := l.client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, nil
		}
		for _, c := range all.Items {
			there[c.Name] = true
		}
		return true, nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := 0
	for _, name := range l.acknowledged {
		if !there[name] {
			lost++
			t.Errorf("%s was acknowledged, and is lost", name)
		}
	}
	t.Logf("%d objects were acknowledged, %d are lost; refused: %v", len(l.acknowledged), lost, l.refused)
	// A client that is connected while the apiserver starts is not told that it may not.
	if n := l.refused[string(metav1.StatusReasonForbidden)]; n > 0 {
		t.Errorf("%d requests were forbidden", n)
	}
	if len(l.acknowledged) < 10 {
		t.Errorf("only %d objects were written: this shows nothing", len(l.acknowledged))
	}
}

// size is what a process has that may leak.
type size struct {
	goroutines map[string]int // by server
	files      int
	listeners  int
	heap       int // what is in use after garbage collection, in MB
	rss        int // in MB
}

var stackCount = regexp.MustCompile(`(?m)^(\d+) @ .*\n# labels: \{"server":"([^"]*)"\}`)

func (h home) size(t testing.TB, p *process) size {
	t.Helper()
	s := size{goroutines: map[string]int{}}
	for _, m := range stackCount.FindAllStringSubmatch(h.ask(t, "/debug/pprof/goroutine?debug=1"), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		s.goroutines[m[2]] += n
	}
	m := regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`).FindStringSubmatch(h.ask(t, "/debug/pprof/heap?gc=1&debug=1"))
	if m == nil {
		t.Fatal("the heap profile does not say what is in use")
	}
	bytes, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	s.heap = bytes >> 20
	proc := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	files, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	s.files = len(files)
	ours := map[string]bool{}
	for _, f := range files {
		// it may have been closed meanwhile
		if link, err := os.Readlink(filepath.Join(proc, "fd", f.Name())); err == nil {
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				ours[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(proc + "/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			const listening = "0A"
			if f := strings.Fields(line); len(f) > 9 && f[3] == listening && ours[f[9]] {
				s.listeners++
			}
		}
	}
	text, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(text); m != nil {
		kb, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		s.rss = kb / 1024
	}
	return s
}

// leaks is how many goroutines a restart of a server may leave behind. What is not named leaves none. kwok's
// controllers never end the goroutines of their event broadcaster (2) and of their queues (3); see `km help limits`.
var leaks = map[string]int{"executor": 5}

func TestSchedulerAndExecutorRestarts(t *testing.T) {
	t.Parallel()
	testRestarts(t, "scheduler", "executor")
}

func TestControllerManagerRestarts(t *testing.T) {
	t.Parallel()
	testRestarts(t, "controller-manager")
}

func TestEtcdRestarts(t *testing.T) {
	t.Parallel()
	testRestarts(t, "etcd")
}

// This takes more than a minute on a machine that is idle, too: with each restart the watches of the clients of the
// apiserver wait for twice as long before they come back, up to a minute (k8s.io/client-go/tools/cache, Reflector).
func TestAPIServerRestarts(t *testing.T) {
	t.Parallel()
	testRestarts(t, "apiserver")
}

// testRestarts restarts each of the servers 50 times in one process, under load, and each beside the others: nothing
// piles up, nothing that was acknowledged is lost, nothing is registered twice, and kubectl goes on working.
func testRestarts(t *testing.T, names ...string) {
	const times = 50
	h := newHome(t)
	p := h.run(t)
	l := h.newLoad(t)
	h.busy(t)
	full := h.settled(t, p)
	h.must(t, "restart", strings.Join(names, ",")) // what is made once is made now
	h.awaitSize(t, p, func(s size) string { return short(full, s) })
	before := h.settled(t, p)
	var parts []subtest
	for _, name := range names {
		parts = append(parts, subtest{name, func(t *testing.T) {
			for range times {
				h.must(t, "restart", name)
			}
		}})
	}
	sideBySide(t, unlimited, parts...)
	// kubectl as a user has it: what a restart interrupts is asked again.
	eventually(t, "kubectl", func() bool { return h.km(t, "kubectl", "get", "pods").code == 0 })
	// Nobody sees what a watch has left behind as long as it is not back.
	after := h.awaitSize(t, p, func(s size) string { return short(before, s) + grown(before, s, names, times) })
	t.Logf("before: %+v\nafter %d restarts: %+v", before, times, after)
	for _, s := range h.status(t).Servers {
		if s.State != "ready" || s.LastFailure != nil {
			t.Errorf("%+v", s)
		}
	}
	l.end()
	l.check(t)
	h.busy(t)
	for _, name := range servers {
		for _, line := range h.logLines(t, name) {
			if twice.MatchString(line.text) {
				t.Errorf("%s: %s", name, line.text)
			}
		}
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// twice is what upstream says of what was registered before.
var twice = regexp.MustCompile(`(?i)duplicate metrics|already registered|register config.*twice|unable to register`)

// grown says what has grown more than it may, from one size to the other.
func grown(before, after size, names []string, restarts int) string {
	var found []string
	// Requests and watches come and go.
	const some = 40
	for server, n := range after.goroutines {
		most := before.goroutines[server] + some
		if slices.Contains(names, server) {
			most += restarts * leaks[server]
		}
		if n > most {
			found = append(found, fmt.Sprintf("%s has %d goroutines, and had %d", server, n, before.goroutines[server]))
		}
	}
	// A server that has ended and is held by something would be many times as much after so many restarts.
	if after.heap > before.heap+100 {
		found = append(found, fmt.Sprintf("%d MB are in use, and %d were", after.heap, before.heap))
	}
	if after.files > before.files+20 {
		found = append(found, fmt.Sprintf("%d files are open, and %d were", after.files, before.files))
	}
	if after.listeners != before.listeners {
		found = append(found, fmt.Sprintf("%d sockets are listened on, and %d were", after.listeners, before.listeners))
	}
	return strings.Join(found, "; ")
}

// short says which servers have fewer goroutines than before: watches that a restart has ended are not back yet.
func short(before, now size) string {
	var found []string
	for server, n := range before.goroutines {
		if now.goroutines[server] < n*9/10 {
			found = append(found, fmt.Sprintf("%s has only %d goroutines, and had %d; ", server, now.goroutines[server], n))
		}
	}
	return strings.Join(found, "")
}

// settled is the size when it does not change any more, but for what comes and goes.
func (h home) settled(t testing.TB, p *process) (s size) {
	t.Helper()
	const enough = 4
	const long = 2 * time.Second // a watch comes back about a second after it has ended
	var since time.Time
	last, same := 0, 0
	eventually(t, "a number of goroutines that stays", func() bool {
		s = h.size(t, p)
		sum := 0
		for _, n := range s.goroutines {
			sum += n
		}
		if same++; sum-last >= 20 || last-sum >= 20 {
			last, same, since = sum, 0, time.Now()
		}
		return same >= enough && time.Since(since) >= long
	})
	return s
}

// awaitSize waits until wrong finds nothing wrong with the size. What it finds after a long while fails the test.
func (h home) awaitSize(t testing.TB, p *process, wrong func(size) string) size {
	t.Helper()
	// Connections and watches of what has ended are given up after a while.
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		s := h.size(t, p)
		what := wrong(s)
		if what != "" && time.Now().After(deadline) {
			t.Errorf("not all is as before: %s", what)
			what = ""
		}
		if what == "" {
			return s
		}
	}
}

// Restarts and kills of random servers, some of them in processes of their own, while objects are written: each that
// was acknowledged is there at the end.
func TestSoak(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--etcd.isolation=process", "--scheduler.isolation=process", "--apiserver.restart=always")
	l := h.newLoad(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kills := map[string]int{}
	for range 24 {
		switch name := []string{"etcd", "apiserver", "controller-manager", "scheduler", "executor"}[random.IntN(5)]; {
		case (name == "etcd" || name == "scheduler") && kills[name] < 4 && random.IntN(2) == 0:
			s := h.server(t, name)
			kills[name]++
			s.kill(t, syscall.SIGKILL)
			eventually(t, name+" is started again", func() bool {
				now := h.server(t, name)
				return now.State == "ready" && now.Restarts > s.Restarts
			})
		default:
			h.must(t, "restart", name)
		}
	}
	h.must(t, "status", "--wait=ready")
	l.end()
	l.check(t)
	for _, name := range []string{"etcd", "scheduler"} {
		if s := h.server(t, name); kills[name] > 0 && (s.LastFailure == nil || !strings.Contains(s.LastFailure.Error, "killed")) {
			t.Errorf("%s was killed %d times: %+v", name, kills[name], s)
		}
	}
	h.busy(t)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
