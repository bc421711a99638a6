package life

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
)

// part is a server whose life the test steers.
type part struct {
	*Server
	actor *Actor        // while the group runs
	ready chan error    // what Ready returns
	end   chan error    // what Run returns without being asked to stop
	slow  time.Duration // how long Run takes to return when it is asked to; a bubble's time, so it costs none
	logs  *logging.Logs
	shown *lockedBuffer
}

func newPart(name string, needs ...string) *part {
	p := &part{}
	p.Server = &Server{
		Name:    name,
		Advice:  Advice{Overstays: "be patient", StartsOnce: "begin anew", StillRuns: "end it"},
		Restart: RestartNever, // tests of restarts say so
		Run: func(ctx context.Context) error {
			select {
			case err := <-p.end:
				if err != nil && strings.HasPrefix(err.Error(), "panic ") {
					panic(err.Error())
				}
				return err
			case <-ctx.Done():
				time.Sleep(p.slow)
				return errors.New("closed under it")
			}
		},
		Ready: func(ctx context.Context) error {
			select {
			case err := <-p.ready:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	p.Needs = append(p.Needs, needs...)
	return p
}

// Fail is the actor's, if there is one.
func (p *part) Fail(err error) {
	if p.actor != nil {
		p.actor.Fail(err)
	}
}

// said is what the server has logged.
func (p *part) said() string {
	p.logs.Flush()
	return p.shown.String()
}

// lockedBuffer is a buffer that is read while servers write to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lifeTest is a running group.
type lifeTest struct {
	t       *testing.T
	g       *Group
	signals chan os.Signal
	result  chan error
	seen    int64 // number of the last event that wantNew has seen
}

// inBubble runs the test in a bubble of testing/synctest, with a group of these servers.
func inBubble(t *testing.T, test func(l *lifeTest), parts ...*part) {
	t.Helper()
	inBubbleWith(t, func(*Group) {}, test, parts...)
}

// inBubbleWith does so with a group that is set before it runs.
func inBubbleWith(t *testing.T, set func(g *Group), test func(l *lifeTest), parts ...*part) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var servers []Server
		for _, p := range parts {
			// A channel belongs to the bubble in which it was made. So does the goroutine that writes the log.
			p.ready, p.end = make(chan error, 1), make(chan error, 1)
			p.shown = &lockedBuffer{}
			p.logs = logging.New(logging.Config{Out: p.shown})
			p.Server.Log = p.logs.Server(p.Name)
			servers = append(servers, *p.Server)
		}
		l := &lifeTest{t: t, g: NewGroup(servers...), signals: make(chan os.Signal, 2), result: make(chan error, 1)}
		for i, p := range parts {
			p.actor = l.g.Actors()[i]
		}
		set(l.g)
		go func() { l.result <- l.g.Run(l.signals) }()
		synctest.Wait()
		test(l)
		close(l.signals)
		// A bubble is to be empty at its end: this is until the servers that were left behind have ended.
		time.Sleep(24 * time.Hour)
		for _, p := range parts {
			p.logs.Close()
		}
	})
}

// becomeReady lets the parts become ready, one after the other.
func becomeReady(parts ...*part) {
	for _, p := range parts {
		p.ready <- nil
		synctest.Wait()
	}
}

// end waits for the group to end.
func (l *lifeTest) end() error {
	l.t.Helper()
	select {
	case err := <-l.result:
		return err
	case <-time.After(time.Hour): // of the bubble's
		l.t.Fatalf("the group does not end; so far: %s", l.all())
		return nil
	}
}

// all is what has happened so far: the name of each server and its new state, in order.
func (l *lifeTest) all() []string {
	var all []string
	fresh := l.g.Events(0)
	for _, e := range fresh {
		all = append(all, fmt.Sprintf("%s %v", e.Server, e.To))
	}
	return all
}

// want checks all that has happened so far, in order.
func (l *lifeTest) want(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.all()); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// wantNew lets the servers come to rest, without time passing, and checks what has happened since the last call, in
// order.
func (l *lifeTest) wantNew(want ...string) {
	l.t.Helper()
	synctest.Wait()
	var got []string
	for _, e := range l.fresh() {
		got = append(got, fmt.Sprintf("%s %v", e.Server, e.To))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// fresh are the events since the last call.
func (l *lifeTest) fresh() []Event {
	fresh := l.g.Events(l.seen)
	l.seen += int64(len(fresh))
	return fresh
}

// wantOf checks the states that one server has gone through.
func (l *lifeTest) wantOf(p *part, want ...string) {
	l.t.Helper()
	var got []string
	for _, e := range l.all() {
		if state, ok := strings.CutPrefix(e, p.Name+" "); ok {
			got = append(got, state)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("states of %s (-want +got):\n%s", p.Name, diff)
	}
}

// wantOrder checks that the events happened in this order, with others between them or not.
func (l *lifeTest) wantOrder(want ...string) {
	l.t.Helper()
	all := l.all()
	last := -1
	for _, e := range want {
		i := slices.Index(all, e)
		if i <= last {
			l.t.Errorf("%q is not behind those before it in %q; all: %q", e, want, all)
		}
		last = i
	}
}

func TestStartsByNeedsAndStopsInReverse(t *testing.T) {
	db, api, ui := newPart("db"), newPart("api", "db"), newPart("ui", "api")
	ui.slow, api.slow = 3*time.Second, 2*time.Second
	// The order in which they are given does not matter.
	inBubble(t, func(l *lifeTest) {
		l.want("db starting")
		becomeReady(db)
		l.want("db starting", "db ready", "api starting")
		becomeReady(api, ui)
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		l.want("db starting", "db ready", "api starting", "api ready", "ui starting", "ui ready", "ui stopping")
		if err := l.end(); err != nil {
			t.Errorf("error %v: what Run returns when it was asked to stop is none", err)
		}
		l.want("db starting", "db ready", "api starting", "api ready", "ui starting", "ui ready",
			"ui stopping", "ui stopped", "api stopping", "api stopped", "db stopping", "db stopped")
	}, ui, api, db)
}

// Those that need the same one start at once, not in a line of turns, and those that need nothing wait for nobody.
func TestStartsAtOnce(t *testing.T) {
	db, api, worker, other := newPart("db"), newPart("api", "db"), newPart("worker", "db"), newPart("other")
	inBubble(t, func(l *lifeTest) {
		l.wantOf(other, "starting")
		l.wantOf(api)
		l.wantOf(worker)
		becomeReady(db)
		l.wantOf(api, "starting")
		l.wantOf(worker, "starting")
		l.signals <- syscall.SIGINT
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.wantOrder("api stopped", "db stopping")
		l.wantOrder("worker stopped", "db stopping")
	}, db, api, worker, other)
}

// A need of a server that is not there is elsewhere: it is not waited for. An alias is as good as a name.
func TestNeedsOfAliasAndOfAbsentServer(t *testing.T) {
	db, api := newPart("db"), newPart("api", "database", "elsewhere")
	db.Aliases = []string{"database"}
	inBubble(t, func(l *lifeTest) {
		l.want("db starting")
		becomeReady(db)
		l.want("db starting", "db ready", "api starting")
		l.signals <- syscall.SIGINT
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, api, db)
}

// A server without Ready is ready as soon as it has been started.
func TestReadyWithoutReady(t *testing.T) {
	db := newPart("db")
	db.Ready = nil
	inBubble(t, func(l *lifeTest) {
		l.want("db starting", "db ready")
		l.signals <- syscall.SIGINT
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, db)
}

func TestFailureStopsTheOthersInOrder(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name   string
		before bool // api has been ready
		fail   func(api *part)
		want   string // the error
		log    string // is logged by api
	}{
		{"Run fails while starting", false, func(api *part) { api.end <- boom }, "api failed: boom", ""},
		{"Run fails later", true, func(api *part) { api.end <- boom }, "api failed: boom", ""},
		{"Run panics", false, func(api *part) { api.end <- errors.New("panic attack") }, "api failed: panic: panic attack", "group_test.go"},
		{"Run panics later", true, func(api *part) { api.end <- errors.New("panic attack") }, "api failed: panic: panic attack", "group_test.go"},
		{"Run is done before it is ready", false, func(api *part) { api.end <- nil }, "api failed: it ended before it was ready", ""},
		{"Ready fails", false, func(api *part) { api.ready <- boom }, "api failed: boom", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, api, ui := newPart("db"), newPart("api", "db"), newPart("ui", "api")
			db.slow = time.Second
			inBubble(t, func(l *lifeTest) {
				becomeReady(db)
				if test.before {
					becomeReady(api, ui)
				}
				test.fail(api)
				err := l.end()
				wantFailure(t, err)
				if err == nil || err.Error() != test.want {
					t.Errorf("error %v, want %s", err, test.want)
				}
				if test.before {
					l.wantOf(api, "starting", "ready", "failed")
					l.wantOf(ui, "starting", "ready", "stopping", "stopped")
				} else {
					l.wantOf(api, "starting", "failed")
					l.wantOf(ui, "stopped")
				}
				l.wantOf(db, "starting", "ready", "stopping", "stopped")
				l.wantOrder("api failed", "db stopping")
				contains(t, api.said(), test.log)
			}, db, api, ui)
		})
	}
}

// A panic in Ready is the server's failure, and Run is asked to return.
func TestPanicInReady(t *testing.T) {
	db := newPart("db")
	db.slow = time.Second
	db.Ready = func(context.Context) error { panic("no idea") }
	inBubble(t, func(l *lifeTest) {
		begin := time.Now()
		err := l.end()
		if err == nil || err.Error() != "db failed: panic: no idea" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != db.slow {
			t.Errorf("Run was waited for %v, want %v", took, db.slow)
		}
		l.want("db starting", "db failed")
		contains(t, db.said(), "no idea", "TestPanicInReady")
	}, db)
}

// One that is done after it was ready is no reason for the others to stop. When all are done, so is the group.
func TestDone(t *testing.T) {
	db, job := newPart("db"), newPart("job", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, job)
		job.end <- nil
		synctest.Wait()
		l.want("db starting", "db ready", "job starting", "job ready", "job stopped")
		db.end <- nil
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.want("db starting", "db ready", "job starting", "job ready", "job stopped", "db stopped")
	}, db, job)
}

// One that was done before the others were asked to stop is not waited for.
func TestStopAfterOneIsDone(t *testing.T) {
	db, job := newPart("db"), newPart("job", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, job)
		job.end <- nil
		synctest.Wait()
		l.signals <- syscall.SIGTERM
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.wantOf(job, "starting", "ready", "stopped")
		l.wantOf(db, "starting", "ready", "stopping", "stopped")
	}, db, job)
}

func TestStopWhileWaitingAndStarting(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	inBubble(t, func(l *lifeTest) {
		l.signals <- syscall.SIGTERM
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.wantOf(api, "stopped")
		l.wantOf(db, "starting", "stopping", "stopped")
	}, db, api)
}

// One that fails while it waits for those that need it to stop has failed, although all were asked to stop.
func TestFailureWhileStopping(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	api.slow = 5 * time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		db.end <- errors.New("disk full")
		err := l.end()
		wantFailure(t, err)
		contains(t, fmt.Sprint(err), "disk full")
		l.wantOf(db, "starting", "ready", "failed")
		l.wantOf(api, "starting", "ready", "stopping", "stopped")
	}, db, api)
}

// One that has failed, and would start again, is stopped by a stop that comes before it has ended: its failure was none
// for good.
func TestStopWhileAFailureEnds(t *testing.T) {
	for _, ready := range []bool{false, true} {
		db := newPart("db")
		db.Restart, db.slow = RestartOnFailure, 5*time.Second
		inBubble(t, func(l *lifeTest) {
			want := []string{"db starting", "db stopped"}
			if ready {
				becomeReady(db)
				want = slices.Insert(want, 1, "db ready")
			}
			synctest.Wait()
			db.Fail(errors.New("out of ink"))
			synctest.Wait() // it ends
			l.signals <- syscall.SIGTERM
			if err := l.end(); err != nil {
				t.Errorf("ready %v: %v", ready, err)
			}
			l.want(want...)
		}, db)
	}
}

func TestTheFirstFailureIsReturned(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	api.slow = time.Minute
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		db.end <- errors.New("disk full")
		if err := l.end(); err == nil || err.Error() != "db failed: disk full" {
			t.Errorf("error %v, want that of db", err)
		}
		l.wantOf(db, "starting", "ready", "failed")
		l.wantOf(api, "starting", "ready", "stopping", "failed")
	}, db, api)
}

// Whoever reads of the event with which the beginning is over knows that it is.
func TestBeginningIsKnownWithItsEvent(t *testing.T) {
	for range 500 {
		g := NewGroup(Server{Name: "db", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }})
		known := make(chan bool, 1)
		go g.Read(t.Context(), 0, func(e Event) {
			if e.To == Ready {
				b := g.Beginning()
				known <- b != nil && b.Seq == e.Seq && b.Err == nil
			}
		})
		signals, ended := make(chan os.Signal, 1), make(chan error, 1)
		go func() { ended <- g.Run(signals) }()
		if !<-known {
			t.Fatal("it is not known")
		}
		signals <- syscall.SIGTERM
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		close(signals)
	}
}
