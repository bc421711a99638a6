package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
	// blind is without watchers.
	blind bool
	// drawing is porcupine's of what it refuses.
	drawing string
	began   time.Time
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
	read     int64  // up to where history has been read
	stacks   string // of the test, when it hung
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
			return fmt.Errorf("%s: %w", what, errHang)
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
		return fmt.Errorf("km is ready: %w", errHang)
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
	if err := await(ctx, "the end of km", r.process.done); err != nil {
		return err
	}
	r.outputs = append(r.outputs, r.process.String())
	return r.start(ctx)
}

// play starts km and its clients, injects the faults, and judges.
func (r *run) play(ctx context.Context, faults []fault) {
	t := r.t
	t.Helper()
	again := fmt.Sprintf("make robustness SEED=%d ROUNDS=1 OPERATIONS=%d RUN='%s'", r.seed, *operations, r.plan)
	t.Logf("seed %d; the same faults at the same moments: %s", r.seed, again)
	defer r.end()
	if err := r.drive(ctx, faults); err != nil {
		r.failed(err)
		t.Logf("again: %s", again)
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
	var asking, watchers group
	for id := range clients {
		c := newClient(r, id)
		asking.Go(func() { c.loop(going) })
	}
	all := []*watcher{
		newWatcher(r, clients, "of all", "", 0),
		newWatcher(r, clients+1, "of side a", "a", 0),
		newWatcher(r, clients+2, "that rests", "", 20),
	}
	if r.blind {
		all = nil
	}
	for _, w := range all {
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
	if err := asking.end(ctx, "the clients' end"); err != nil {
		return errors.Join(failed, err)
	}
	r.mu.Lock()
	r.over = true
	r.changed()
	r.mu.Unlock()
	if failed == nil {
		failed = errors.Join(r.settle(ctx), r.rollOut(ctx, 5), r.rollOut(ctx, 1))
	}
	stopWatches()
	if err := watchers.end(ctx, "the watchers' end"); err != nil {
		return errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	return r.judge()
}

// group are goroutines that end when they are told to.
type group struct{ sync.WaitGroup }

func (g *group) end(ctx context.Context, what string) error {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	return await(ctx, what, done)
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
		return r.blind || r.reached["of all"] >= b && r.reached["that rests"] >= b && r.reached["of side a"] >= a
	})
}

func (r *run) judge() error {
	r.drawing = filepath.Join(r.t.TempDir(), "history.html")
	err := errors.Join(append(r.wrong, judge(r.all, r.sessions, r.history, r.drawing))...)
	events := 0
	for _, s := range r.sessions {
		events += len(s.Events)
	}
	answers := map[string]int{}
	for _, o := range r.all {
		answers[string(o.Verb)+", "+string(o.Answer)]++
	}
	r.t.Logf("faults: %s\n%d operations (%v), %d changes, %d watches with %d events, %d of them told that it is too late; "+
		"%d starts of km; not answered: %v",
		strings.Join(r.injected, ", "), len(r.all), answers, len(r.history), len(r.sessions), events, r.relists, r.lives, r.errors)
	if err != nil {
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
			if err := await(context.Background(), "km's end after SIGINT", p.done); err != nil {
				r.failed(err)
			}
		}
		if err := p.kill(); err != nil {
			r.t.Error(err)
		}
	}
	if r.t.Failed() {
		r.keep()
	}
}
