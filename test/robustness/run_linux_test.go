package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// clients is how many ask at a time.
const clients = 4

// run is a km with its clients, from the first start to the judgement.
type run struct {
	t    *testing.T
	home home
	args []string
	plan string // the test of its plan, as -run has it
	seed uint64
	// random chooses faults and moments. Only one goroutine asks it, so that the seed repeats what it says.
	random *rand.Rand
	disk   *disk // under home, where there is one
	pods   bool
	began  time.Time
	// injected are the faults so far.
	injected []string

	mu       sync.Mutex
	change   chan struct{} // closed when something below changes
	lives    int
	config   *rest.Config
	process  *process
	outputs  []string // of km's lives that have ended
	all      []operation
	answered int
	over     bool           // clients ask no more
	errors   map[string]int // what was answered where nothing is said of the object
	sessions []watched
	relists  int // of watchers that were told that they go on from too far back
	reached  map[string]int64
	wrong    []error
	history  history
	read     int64 // up to where history has been read
}

func newRun(t *testing.T, seed uint64, args ...string) *run {
	return &run{
		t: t, seed: seed, args: args, random: rand.New(rand.NewPCG(seed, 1)), began: time.Now(), change: make(chan struct{}),
		errors: map[string]int{}, reached: map[string]int64{},
	}
}

func (r *run) time() int64 { return int64(time.Since(r.began)) }

// changed belongs where something has changed that somebody may wait for. mu is held.
func (r *run) changed() {
	close(r.change)
	r.change = make(chan struct{})
}

func (r *run) current() (int, *rest.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lives, r.config
}

func (r *run) record(o operation, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
	if o.Answer != open {
		r.answered++
	} else if err != nil {
		r.errors[reason(err)]++
	}
	r.changed()
}

func (r *run) recordWatch(s watched) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, s)
}

func (r *run) seen(watcher string, rv int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached[watcher] = rv
	r.changed()
}

func (r *run) relisted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relists++
}

// broken tells that a promise was broken that is not the judge's.
func (r *run) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, err)
}

// until waits until it is so. mu is held while it asks.
func (r *run) until(ctx context.Context, what string, is func() bool) error {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r.mu.Lock()
		ok, change := is(), r.change
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-change:
		case <-limit.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s: not within %v", what, patience)
		}
	}
}

// after waits until as many more operations have ended, however they have, or there are no more.
func (r *run) after(ctx context.Context, n int) error {
	r.mu.Lock()
	n += len(r.all)
	r.mu.Unlock()
	return r.until(ctx, "operations", func() bool { return len(r.all) >= n || r.over })
}

// serves waits until as many more operations have been answered.
func (r *run) serves(ctx context.Context, n int) error {
	r.mu.Lock()
	n += r.answered
	r.mu.Unlock()
	return r.until(ctx, fmt.Sprintf("%d answers", n), func() bool { return r.answered >= n })
}

// start starts km and waits until it is ready.
func (r *run) start(ctx context.Context) error {
	p, err := r.home.start(r.args...)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	select {
	case <-p.ready:
	case <-p.done:
		return fmt.Errorf("km ended with exit code %d before it was ready", p.code)
	case <-time.After(patience):
		return fmt.Errorf("km is not ready within %v", patience)
	case <-ctx.Done():
		return ctx.Err()
	}
	config, err := r.home.config()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives, r.config = r.lives+1, config
	r.changed()
	return nil
}

// again starts km anew after it has ended.
func (r *run) again(ctx context.Context) error {
	<-r.process.done
	r.outputs = append(r.outputs, r.process.String())
	return r.start(ctx)
}

func (r *run) etcd() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(r.home.dataDir(), "etcd.sock")}, DialTimeout: patience})
}

// readHistory reads from etcd what has changed since it was read last, up to the revision at least.
func (r *run) readHistory(ctx context.Context, upTo int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.etcd()
	if err != nil {
		return err
	}
	defer client.Close()
	const root = "/registry/" + resource + "/" + namespace + "/"
	watch := client.Watch(clientv3.WithRequireLeader(ctx), root+prefix, clientv3.WithPrefix(), clientv3.WithRev(r.read+1))
	for r.read < upTo {
		response, ok := <-watch
		if !ok {
			return fmt.Errorf("etcd's history ends at %d, and not at %d: %w", r.read, upTo, ctx.Err())
		}
		if err := response.Err(); err != nil {
			return fmt.Errorf("etcd's history after %d: %w", r.read, err)
		}
		for _, e := range response.Events {
			c := change{RV: e.Kv.ModRevision, Key: strings.TrimPrefix(string(e.Kv.Key), root), Deleted: e.Type == clientv3.EventTypeDelete}
			if !c.Deleted {
				o, _, err := scheme.Codecs.UniversalDeserializer().Decode(e.Kv.Value, nil, nil)
				if err != nil {
					return fmt.Errorf("%s at %d: %w", c.Key, c.RV, err)
				}
				c.Value = o.(*corev1.ConfigMap).Data["value"]
			}
			r.history, r.read = append(r.history, c), c.RV
		}
	}
	return nil
}

// mark writes an object on one side, and returns its revision.
func (r *run) mark(ctx context.Context, c *client, side rune) (int64, error) {
	var rv int64
	n := 0
	err := poll(ctx, "a write", func(ctx context.Context) (bool, error) {
		n++
		o := c.do(ctx, operation{
			Client: c.id, Verb: create, NotOlder: now,
			Key: fmt.Sprintf("%smark-%d-%d", prefix, len(r.history), n) + string(side), Value: fmt.Sprintf("%d.mark%d.%d%c", c.id, len(r.history), n, side),
		})
		rv = o.RV
		return o.Answer == done, nil
	})
	return rv, err
}

// play starts km and its clients, injects the faults, and judges.
func (r *run) play(ctx context.Context, faults []fault) {
	t := r.t
	t.Helper()
	again := fmt.Sprintf("make robustness SEED=%d ROUNDS=1 OPERATIONS=%d RUN='%s'", r.seed, *operations, r.plan)
	t.Logf("seed %d; the same faults at the same moments: %s", r.seed, again)
	defer r.end()
	if err := r.drive(ctx, faults); err != nil {
		t.Errorf("seed %d, after %s: %v\nagain: %s", r.seed, strings.Join(r.injected, ", "), err, again)
	}
}

func (r *run) drive(ctx context.Context, faults []fault) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	if err := r.rollOut(ctx, 2); err != nil {
		return err
	}
	going, stop := context.WithCancel(ctx)
	defer stop()
	watching, stopWatches := context.WithCancel(ctx)
	defer stopWatches()
	var asking, watchers sync.WaitGroup
	for id := range clients {
		c := newClient(r, id)
		asking.Go(func() { c.loop(going) })
	}
	for _, w := range []*watcher{
		newWatcher(r, clients, "of all", "", 0),
		newWatcher(r, clients+1, "of side a", "a", 0),
		newWatcher(r, clients+2, "that rests", "", 20),
	} {
		watchers.Go(func() { w.loop(watching) })
	}
	gap := func() int { return *operations + r.random.IntN(*operations) }
	failed := func() error {
		for _, f := range faults {
			if err := r.serves(ctx, gap()); err != nil {
				return err
			}
			r.injected = append(r.injected, f.name)
			if err := f.inject(ctx, r); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		return r.serves(ctx, gap())
	}()
	stop()
	asking.Wait()
	r.mu.Lock()
	r.over = true
	r.changed()
	r.mu.Unlock()
	if failed == nil {
		failed = errors.Join(r.settle(ctx), r.rollOut(ctx, 5), r.rollOut(ctx, 1))
	}
	stopWatches()
	watchers.Wait()
	if failed != nil {
		return failed
	}
	return r.judge()
}

// rollOut has as many pods come or go, which takes the controllers, the scheduler and the executor.
func (r *run) rollOut(ctx context.Context, replicas int32) error {
	if !r.pods {
		return nil
	}
	_, config := r.current()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	want := deployment("pods", replicas)
	return poll(ctx, fmt.Sprintf("%d pods", replicas), func(ctx context.Context) (bool, error) {
		_, err := client.AppsV1().Deployments(namespace).Update(ctx, want, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = client.AppsV1().Deployments(namespace).Create(ctx, want, metav1.CreateOptions{})
		}
		if err != nil {
			return false, err
		}
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=pods"})
		if err != nil || len(pods.Items) != int(replicas) {
			return false, err
		}
		for _, pod := range pods.Items {
			if !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) {
				return false, nil
			}
		}
		return true, nil
	})
}

// settle lets the watchers see all that there was, and reads etcd's history.
func (r *run) settle(ctx context.Context) error {
	c := newClient(r, clients+10)
	a, err := r.mark(ctx, c, 'a')
	if err != nil {
		return err
	}
	b, err := r.mark(ctx, c, 'b')
	if err != nil {
		return err
	}
	if err := r.readHistory(ctx, b); err != nil {
		return err
	}
	return r.until(ctx, "all watchers see the last event", func() bool {
		return r.reached["of all"] >= b && r.reached["that rests"] >= b && r.reached["of side a"] >= a
	})
}

func (r *run) judge() error {
	file := filepath.Join(r.t.TempDir(), "history.html")
	err := errors.Join(append(r.wrong, judge(r.all, r.sessions, r.history, file))...)
	events := 0
	for _, s := range r.sessions {
		events += len(s.Events)
	}
	answers := map[string]int{}
	for _, o := range r.all {
		answers[string(o.Verb)+", "+string(o.Answer)]++
	}
	r.t.Logf("faults: %s\n%d operations (%v), %d changes, %d watches with %d events, %d of them told that it is too late; %d starts of km; not answered: %v",
		strings.Join(r.injected, ", "), len(r.all), answers, len(r.history), len(r.sessions), events, r.relists, r.lives, r.errors)
	if err != nil {
		r.keep(file)
		return err
	}
	count(r.injected, r.answered, len(r.history), events)
	return nil
}

// end ends km, and keeps what explains a failure.
func (r *run) end() {
	if p := r.process; p != nil {
		if !p.ended() {
			_ = p.cmd.Process.Signal(os.Interrupt)
			select {
			case <-p.done:
			case <-time.After(patience):
				r.t.Errorf("km has not stopped within %v", patience)
			}
		}
		p.kill()
	}
	if r.t.Failed() {
		r.keep("")
	}
}

// keep keeps what explains a failure, and says where.
func (r *run) keep(drawing string) {
	t := r.t
	dir := filepath.Join(keptDir(), fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), r.seed))
	err := os.MkdirAll(dir, 0o755)
	write := func(name string, what any) {
		text, encodeErr := json.MarshalIndent(what, "", " ")
		err = errors.Join(err, encodeErr, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	write("operations.json", r.all)
	write("watches.json", r.sessions)
	write("history.json", r.history)
	write("faults.json", map[string]any{"seed": r.seed, "faults": r.injected, "errors": r.errors})
	outputs := r.outputs
	if r.process != nil {
		outputs = append(slices.Clone(outputs), r.process.String())
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "km.txt"), []byte(strings.Join(outputs, "\n--- the next start\n")), 0o644))
	if drawing != "" {
		if text, readErr := os.ReadFile(drawing); readErr == nil {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, "history.html"), text, 0o644))
		}
	}
	// What of the disk cannot be read any more is not kept.
	if copyErr := os.CopyFS(filepath.Join(dir, "logs"), os.DirFS(filepath.Join(r.home.dataDir(), "logs"))); copyErr != nil {
		t.Logf("the logs are not whole: %v", copyErr)
	}
	t.Logf("what explains it is kept in %s (%v)", dir, err)
}

// keptDir is the folder for what explains failures.
var keptDir = sync.OnceValue(func() string {
	if *kept != "" {
		return *kept
	}
	dir, err := os.MkdirTemp("", "km-robustness-")
	if err != nil {
		return filepath.Join(os.TempDir(), "km-robustness")
	}
	return dir
})

// counts are of the runs that held what was promised.
var counts struct {
	sync.Mutex
	faults                      map[string]int
	operations, changes, events int
}

func count(faults []string, operations, changes, events int) {
	counts.Lock()
	defer counts.Unlock()
	if counts.faults == nil {
		counts.faults = map[string]int{}
	}
	for _, f := range faults {
		counts.faults[f]++
	}
	counts.operations, counts.changes, counts.events = counts.operations+operations, counts.changes+changes, counts.events+events
}
