package life

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/sockets"
)

var seed = flag.Uint64("seed", 0, "of TestRandomLives; 0 for a new one")

// randomLives is how many groups TestRandomLives runs at least.
const randomLives = 600

// Groups of servers that do anything at any time, of which clients want anything at any time, keep what the package
// comment promises.
func TestRandomLives(t *testing.T) {
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed=%d", seed)
	arrows := map[[2]State]int{}
	dir := t.TempDir()
	// It goes on until it has come everywhere: the test would be worth little if it did not.
	for n := uint64(0); n < randomLives || n < 20*randomLives && len(unseen(arrows)) > 0; n++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, rand.New(rand.NewPCG(seed, n)))
			w.dir = dir
			w.live()
			w.check(arrows)
			if t.Failed() {
				t.Errorf("run %d:\n%s", n, w)
			}
		})
		if t.Failed() {
			return
		}
	}
	for _, arrow := range unseen(arrows) {
		t.Errorf("no server has gone from %v to %v", arrow[0], arrow[1])
	}
	t.Log(arrows)
}

// unseen are the changes of a state that may be and have not been.
func unseen(arrows map[[2]State]int) (all [][2]State) {
	for from, states := range next {
		for _, to := range states {
			if arrow := [2]State{from, to}; arrows[arrow] == 0 {
				all = append(all, arrow)
			}
		}
	}
	return all
}

// world is one random group, and those who want something of it.
type world struct {
	t       *testing.T
	group   *Group
	logs    *logging.Logs
	signals chan os.Signal
	dir     string
	clients int
	patient bool // the signal comes when the clients have got all answers

	mu       sync.Mutex // guards what follows
	r        *rand.Rand
	running  map[string]map[int]int // how many Runs and Readys there are, by server and the number of its start
	held     map[string]int         // what servers have opened, and is not released
	sockets  map[string][]net.Listener
	requests []noted
	going    chan struct{} // closed when what servers keep goes
	gone     time.Time     // when that was; zero if it has not
	lost     time.Time     // when that was seen at the latest
	signaled time.Time
	ended    time.Time
	err      error // of the group
}

// errMissing is why a run ends in which something is gone.
var errMissing = errors.New("it is gone")

// noted is what a client has asked for, and was told.
type noted struct {
	client     int
	ask        Verb
	names      []string // those that are in it, too
	begin, end int64    // the last events before it was asked, and before the answer
	err        error
}

func newWorld(t *testing.T, r *rand.Rand) *world {
	w := &world{t: t, r: r, logs: logging.New(logging.Config{Out: io.Discard}), signals: make(chan os.Signal, 2),
		clients: r.IntN(3), patient: r.IntN(2) == 0, running: map[string]map[int]int{}, held: map[string]int{},
		sockets: map[string][]net.Listener{},
		going:   make(chan struct{})}
	var citizens []*citizen
	for i := range 1 + r.IntN(6) {
		c := &citizen{Server: Server{
			Name:        string(rune('a' + i)),
			Restart:     []RestartPolicy{RestartNever, RestartOnFailure, RestartOnFailure, RestartAlways}[r.IntN(4)],
			GracePeriod: time.Duration(1+r.IntN(10)) * time.Second,
		}}
		c.Log = w.logs.Server(c.Name)
		c.Run = func(ctx context.Context) error { return w.run(ctx, c) }
		c.Rest = c.sockets.Close
		c.Release = func() { w.release(c) }
		if r.IntN(5) > 0 {
			c.Ready = func(ctx context.Context) error { return w.becomeReady(ctx, c) }
		}
		if r.IntN(3) == 0 {
			c.Build = func(ctx context.Context) error { return w.build(ctx, c) }
		}
		if r.IntN(3) == 0 {
			c.Keeps = func() []string { return nil }
		}
		if r.IntN(10) == 0 {
			c.StartsOnce = func() bool { return true }
		}
		for _, needed := range citizens {
			if r.IntN(3) == 0 {
				c.Needs = append(c.Needs, needed.Name)
			}
		}
		w.running[c.Name] = map[int]int{}
		citizens = append(citizens, c)
	}
	r.Shuffle(len(citizens), func(i, j int) { citizens[i], citizens[j] = citizens[j], citizens[i] })
	var servers []Server
	for _, c := range citizens {
		servers = append(servers, c.Server)
	}
	w.group = NewGroup(servers...)
	for i, c := range citizens {
		c.actor = w.group.actors[i]
	}
	w.group.KeepGoing = r.IntN(2) == 0
	w.group.Look = w.look
	return w
}

// citizen is a server of a world.
type citizen struct {
	Server
	actor   *Actor
	sockets sockets.Set
	opened  int // what it has opened in a start; guarded by the world's lock
}

// look is the group's.
func (w *world) look() bool {
	w.mu.Lock()
	gone := !w.gone.IsZero()
	if gone && w.lost.IsZero() {
		w.lost = time.Now()
	}
	w.mu.Unlock()
	if gone {
		w.group.Lose(errMissing, true)
	}
	return gone
}

// lose has what servers keep go at some time, in some runs, which is seen a moment later.
func (w *world) lose() {
	if !w.chance(4) {
		return
	}
	time.Sleep(w.some(2 * time.Minute))
	w.mu.Lock()
	w.gone = time.Now()
	w.mu.Unlock()
	close(w.going)
	time.Sleep(w.some(time.Second))
	w.look()
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.number(n) == 0 }

func (w *world) number(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.r.IntN(n)
}

// some is a time up to d, now and then no time at all. Many come to the same moment, so that things happen at once.
func (w *world) some(d time.Duration) time.Duration {
	if w.chance(3) {
		return 0
	}
	return time.Duration(1+w.number(10)) * d / 10
}

// enter notes that Run or Ready of a start of the server begins, and returns what is to be called at its end.
func (w *world) enter(c *citizen) (leave func()) {
	w.group.mu.Lock()
	start := c.actor.starts
	if c.actor.state == Waiting { // Build comes before it
		start++
	}
	w.group.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	running := w.running[c.Name]
	running[start]++
	if len(running) > 1 || running[start] > 2 {
		w.t.Errorf("%s runs more than once at the same time, by the number of the start: %v", c.Name, running)
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if running[start]--; running[start] == 0 {
			delete(running, start)
		}
	}
}

// open opens something that outlives the caller, and a socket.
func (w *world) open(c *citizen) {
	l, err := c.sockets.Listen("", "unix", filepath.Join(w.dir, c.Name))
	if err != nil {
		w.t.Errorf("the socket of %s is taken by itself: %v", c.Name, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[c.Name]++
	c.opened++
	w.sockets[c.Name] = append(w.sockets[c.Name], l)
}

// release is the Release of all servers.
func (w *world) release(c *citizen) {
	w.mu.Lock()
	w.held[c.Name] -= c.opened
	c.opened = 0
	w.mu.Unlock()
	c.sockets.CloseGiven()
}

func isClosed(l net.Listener) bool {
	return errors.Is(l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Hour)), net.ErrClosed)
}

// checkReleased checks that nothing is left of what a server had opened in starts that have ended.
func (w *world) checkReleased(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[name] != 0 {
		w.t.Errorf("%s has %d things open that were made in starts that have ended", name, w.held[name])
	}
	for _, l := range w.sockets[name] {
		if !isClosed(l) {
			w.t.Errorf("%s has a listener open that was made in a start that has ended", name)
		}
	}
	w.sockets[name] = nil
}

// checkEnding checks, when it returns that is called at the end of Build or Run, that a server knows of its end before
// its context ends.
func (w *world) checkEnding(ctx context.Context, c *citizen) (atEnd func()) {
	ending := c.actor.Ending()
	return func() {
		select {
		case <-ending:
		default:
			if ctx.Err() != nil {
				w.t.Errorf("the context of %s has ended, and nothing has told that it is to end", c.Name)
			}
		}
	}
}

// build is the Build of some servers.
func (w *world) build(ctx context.Context, c *citizen) error {
	defer w.enter(c)()
	defer w.checkEnding(ctx, c)()
	w.checkReleased(c.Name)
	w.open(c)
	select {
	case <-ctx.Done():
	case <-time.After(w.some(5 * time.Second)):
	}
	if w.chance(10) {
		time.Sleep(w.some(40 * time.Second)) // it may overstay
	}
	switch w.number(20) {
	case 0:
		return errors.New("cannot be built")
	case 1:
		panic("while building")
	case 2:
		runtime.Goexit()
	}
	return nil
}

// run is the Run of all servers.
func (w *world) run(ctx context.Context, c *citizen) error {
	defer w.enter(c)()
	defer w.checkEnding(ctx, c)()
	if c.Build == nil {
		w.checkReleased(c.Name)
	}
	if w.chance(3) {
		w.open(c)
	}
	w.lack(c)
	if !w.chance(3) && w.wait(ctx, c) {
		w.lack(c)
		switch w.number(8) {
		case 0:
			return nil
		case 1:
			panic("at the disco")
		case 2:
			runtime.Goexit()
		case 3:
			c.actor.Fail(errors.New("fatal"))
		case 4:
			c.actor.Fail(Permanent(errors.New("fatal")))
		case 5:
			return fmt.Errorf("boom: %w", Permanent(errors.New("for good")))
		default:
			return errors.New("boom")
		}
	}
	<-ctx.Done()
	switch w.number(12) {
	case 0:
		time.Sleep(c.GracePeriod + w.some(time.Minute)) // it overstays, or nearly
	case 1:
		panic("while it stops")
	case 2, 3, 4:
		time.Sleep(w.some(c.GracePeriod - 1))
	}
	return ctx.Err()
}

// wait waits until a server is to do something by itself, such as when what it keeps has just gone. It returns false if
// ctx ends before.
func (w *world) wait(ctx context.Context, c *citizen) bool {
	going := w.going
	if c.Keeps == nil {
		going = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-going:
		time.Sleep(time.Millisecond + w.some(100*time.Millisecond))
	case <-time.After(w.some(40 * time.Second)):
	}
	return true
}

// lack has a server lack this or that, or nothing any more.
func (w *world) lack(c *citizen) {
	for range w.number(3) {
		c.actor.Degraded([]error{nil, errors.New("no ink"), errors.New("no paper")}[w.number(3)])
	}
}

// becomeReady is the Ready of all servers that have one.
func (w *world) becomeReady(ctx context.Context, c *citizen) error {
	defer w.enter(c)()
	select {
	case <-ctx.Done():
		if w.chance(10) {
			time.Sleep(w.some(2 * c.GracePeriod))
		}
		return ctx.Err()
	case <-time.After(w.some(10 * time.Second)):
	}
	switch w.number(12) {
	case 0:
		return errors.New("never ready")
	case 1:
		panic("unready")
	}
	return nil
}

// client asks for this and that, and waits for each answer.
func (w *world) client(number int) {
	for range w.number(12) {
		time.Sleep(w.some(20 * time.Second))
		what := []Verb{Start, Stop, Restart}[w.number(3)]
		var named []*Actor
		for range 1 + w.number(2) {
			named = append(named, w.group.actors[w.number(len(w.group.actors))])
		}
		n := noted{client: number, ask: what, begin: w.lastEvent()}
		request, err := w.group.askFor(what, named...)
		if err == nil {
			n.names = request.Servers()
			ctx, cancel := context.WithTimeout(context.Background(), 48*time.Hour)
			err = request.Wait(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				w.t.Errorf("request to %s %v is never answered", what, n.names)
			}
		}
		n.end, n.err = w.lastEvent(), err
		w.mu.Lock()
		w.requests = append(w.requests, n)
		w.mu.Unlock()
	}
}

func (w *world) lastEvent() int64 {
	w.group.events.mu.Lock()
	defer w.group.events.mu.Unlock()
	return w.group.events.last
}

// live runs the group, and ends it.
func (w *world) live() {
	ended := make(chan error, 1)
	go func() {
		err := w.group.Run(w.signals)
		w.mu.Lock()
		w.ended = time.Now()
		w.mu.Unlock()
		ended <- err
	}()
	var clients sync.WaitGroup
	clients.Go(w.lose)
	for n := range w.clients {
		clients.Go(func() { w.client(n) })
	}
	if w.patient {
		clients.Wait()
	} else {
		time.Sleep(w.some(2 * time.Minute))
	}
	w.mu.Lock()
	w.signaled = time.Now()
	w.mu.Unlock()
	w.signals <- syscall.SIGTERM
	select {
	case w.err = <-ended:
	case <-time.After(time.Hour):
		w.t.Error("the group does not end")
		return // and the bubble fails
	}
	synctest.Wait()
	clients.Wait() // nobody waits for an answer for ever
	close(w.signals)
	w.logs.Close()
	time.Sleep(time.Hour) // those that were left behind end
	synctest.Wait()
	for name, running := range w.running { // nobody writes to it any more
		if len(running) > 0 {
			w.t.Errorf("%s still runs: %v", name, running)
		}
		w.checkReleased(name)
	}
}

// check checks what has happened.
func (w *world) check(arrows map[[2]State]int) {
	last, lacks := map[string]Event{}, map[string]error{}
	closing, gone := false, false // as far as it is known for sure
	fresh := w.group.Events(0)
	for i, e := range fresh {
		closing = closing || e.Time.After(w.signaled) || !w.lost.IsZero() && e.Time.After(w.lost)
		gone = gone || !w.gone.IsZero() && e.Time.After(w.gone)
		if e.Seq != int64(i+1) || e.From != last[e.Server].To || !follows(e.From, e.To) && !e.IsDegradation() {
			w.t.Errorf("%s follows on %s", told(e), told(last[e.Server]))
		}
		a := w.group.byName[e.Server]
		if e.IsDegradation() {
			if fmt.Sprint(e.Err) == fmt.Sprint(lacks[e.Server]) {
				w.t.Errorf("%s is told again", told(e))
			}
			lacks[e.Server] = e.Err
			continue
		}
		delete(lacks, e.Server)
		arrows[[2]State{e.From, e.To}]++
		if gone && e.From == Ready && a.s.Keeps != nil && (e.To == Backoff || e.To == Stopped && e.Err == nil) {
			w.t.Errorf("%s, although what it keeps is gone", told(e))
		}
		switch e.To {
		case Starting:
			for _, needed := range a.needs {
				was := last[needed.s.Name]
				if was.To != Ready && (was.To != Stopped || was.From != Ready || was.Err != nil) {
					w.t.Errorf("%s, but %s is not ready", told(e), needed.s.Name)
				}
			}
		case Stopping:
			w.checkStop(e, a, last, closing && w.lost.IsZero())
		case Backoff:
			if e.Wait < 160*time.Millisecond || e.Wait > 1920*time.Millisecond {
				w.t.Errorf("%s for %v", told(e), e.Wait)
			}
			if closing || a.s.Restart == RestartNever || a.s.Restart == RestartOnFailure && e.Err == nil || a.s.StartsOnce != nil {
				w.t.Errorf("%s, with policy %s", told(e), a.s.Restart)
			}
			if IsPermanent(e.Err) {
				w.t.Errorf("%s, although that is pointless", told(e))
			}
		case Failed:
			if e.Err == nil {
				w.t.Errorf("%s, but why?", told(e))
			}
		}
		last[e.Server] = e
	}
	w.checkEnd(last)
}

// checkStop checks that those that need the server and are to end have ended when it is asked to stop.
func (w *world) checkStop(e Event, a *Actor, last map[string]Event, closing bool) {
	for _, needing := range a.neededBy {
		state := last[needing.s.Name].To
		if closing && !state.Ended() {
			w.t.Errorf("%s, but %s is %v, and all are to end", told(e), needing.s.Name, state)
		}
		if w.clients != 1 {
			continue // it cannot be known who has wanted what when
		}
		for _, r := range w.requests {
			if e.Seq <= r.begin || e.Seq > r.end || !slices.Contains(r.names, e.Server) {
				continue
			}
			runs := state == Starting || state == Ready || state == Stopping
			if r.ask == Stop && !state.Ended() || r.ask == Restart && runs && slices.Contains(r.names, needing.s.Name) {
				w.t.Errorf("%s, but %s is %v, and is to end, too", told(e), needing.s.Name, state)
			}
		}
	}
}

// checkEnd checks how the group has ended.
func (w *world) checkEnd(last map[string]Event) {
	failed := map[string]bool{}
	var graces time.Duration
	for _, a := range w.group.actors {
		graces += a.s.period()
		state := last[a.s.Name].To
		if !state.Ended() {
			w.t.Errorf("%s is %v at the end", a.s.Name, state)
		}
		failed[a.s.Name] = state == Failed
	}
	if took := w.ended.Sub(w.signaled); took > graces {
		w.t.Errorf("the end took %v, and all grace periods together are %v", took, graces)
	}
	if !w.lost.IsZero() && !w.lost.After(w.ended) {
		if w.err != errMissing && w.lost.Before(w.ended) {
			w.t.Errorf("the error is %v, and what servers keep is gone", w.err)
		}
		return
	}
	name, _, _ := strings.Cut(fmt.Sprint(w.err), " failed: ")
	if w.err != nil && !failed[name] || w.err == nil && slices.Contains(slices.Collect(maps.Values(failed)), true) {
		w.t.Errorf("the error is %v; failed are %v", w.err, failed)
	}
}

func told(e Event) string {
	return fmt.Sprintf("%d %s %s: %v -> %v (%v)", e.Seq, e.Time.Format("15:04:05.000"), e.Server, e.From, e.To, e.Err)
}

func (w *world) String() string {
	var b strings.Builder
	for _, a := range w.group.actors {
		fmt.Fprintf(&b, "%s needs %v, %s, grace period %v, ready %v, once %v\n", a.s.Name, a.s.Needs, a.s.Restart, a.s.GracePeriod, a.s.Ready != nil, a.s.StartsOnce != nil)
	}
	clock := func(at time.Time) string { return at.Format("15:04:05.000") }
	fmt.Fprintf(&b, "keep going %v, gone %s, seen %s, signal %s, end %s, error %v\n",
		w.group.KeepGoing, clock(w.gone), clock(w.lost), clock(w.signaled), clock(w.ended), w.err)
	for _, r := range w.requests {
		fmt.Fprintf(&b, "client %d, behind %d to %d: %s %v: %v\n", r.client, r.begin, r.end, r.ask, r.names, r.err)
	}
	fresh := w.group.Events(0)
	for _, e := range fresh {
		fmt.Fprintln(&b, told(e))
	}
	return b.String()
}
