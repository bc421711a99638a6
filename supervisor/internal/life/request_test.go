package life

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// request is what a client has asked for, and waits for.
type request struct {
	t      *testing.T
	answer chan error
}

// ask asks for something, and waits for it in a goroutine of its own, as a client does.
func (l *lifeTest) ask(what Verb, parts ...*part) *request {
	l.t.Helper()
	w, err := l.g.askFor(what, actorsOf(parts)...)
	if err != nil {
		l.t.Fatalf("refused: %v", err)
	}
	r := &request{l.t, make(chan error, 1)}
	go func() { r.answer <- w.Wait(context.Background()) }()
	synctest.Wait()
	return r
}

func actorsOf(parts []*part) (actors []*Actor) {
	for _, p := range parts {
		actors = append(actors, p.actor)
	}
	return actors
}

// wantRefused asks for what is to be refused.
func (l *lifeTest) wantRefused(want string, what Verb, parts ...*part) {
	l.t.Helper()
	if _, err := l.g.askFor(what, actorsOf(parts)...); err == nil || err.Error() != want {
		l.t.Errorf("refused with %v, want %s", err, want)
	}
}

// pending checks that there is no answer yet.
func (rq *request) pending() {
	rq.t.Helper()
	synctest.Wait()
	select {
	case err := <-rq.answer:
		rq.t.Fatalf("there is an answer already: %v", err)
	default:
	}
}

// want checks the answer, "" for no error. It is there already.
func (rq *request) want(want string) {
	rq.t.Helper()
	synctest.Wait()
	select {
	case err := <-rq.answer:
		if err == nil && want != "" || err != nil && err.Error() != want {
			rq.t.Errorf("the answer is %v, want %q", err, want)
		}
	default:
		rq.t.Errorf("there is no answer, want %q", want)
	}
}

// goesOn checks that the group has not ended.
func (l *lifeTest) goesOn() {
	l.t.Helper()
	time.Sleep(time.Hour)
	select {
	case err := <-l.result:
		l.t.Fatalf("the group has ended: %v", err)
	default:
	}
}

// fourParts returns three servers of which each needs the one before, and one beside them. They fail for good only
// after five times.
func fourParts() (db, api, ui, other *part) {
	return restarting(RestartOnFailure, "db"), restarting(RestartOnFailure, "api", "db"), restarting(RestartOnFailure, "ui", "api"),
		restarting(RestartOnFailure, "other")
}

func TestStopByRequest(t *testing.T) {
	db, api, ui, other := fourParts()
	api.slow, ui.slow = time.Second, time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui, other)
		l.fresh()
		r := l.ask(Stop, api)
		l.wantNew("ui stopping")
		time.Sleep(time.Second)
		l.wantNew("ui stopped", "api stopping")
		r.pending()
		time.Sleep(time.Second)
		l.wantNew("api stopped")
		r.want("")
		l.goesOn()
		l.wantNew()
		l.stop()
	}, ui, other, db, api)
}

// What a server holds between its starts is given back before anybody is told that it has ended: whoever has asked for
// the stop may take its port at once. A restart keeps it.
func TestRestBeforeTheEvent(t *testing.T) {
	db := restarting(RestartOnFailure, "db")
	inBubble(t, func(l *lifeTest) {
		var told []State // by the last event when Rest was called
		db.actor.s.Rest = func() {
			events := l.g.Events(0)
			told = append(told, events[len(events)-1].To)
		}
		becomeReady(db)
		l.ask(Restart, db)
		becomeReady(db)
		if len(told) != 0 {
			t.Errorf("a restart gives back what is kept for it, at %v", told)
		}
		l.ask(Stop, db).want("")
		if diff := cmp.Diff([]State{Stopping}, told); diff != "" {
			t.Errorf("a stop by request: %s", diff)
		}
		l.ask(Start, db)
		becomeReady(db)
		l.stop()
		if diff := cmp.Diff([]State{Stopping, Stopping}, told); diff != "" {
			t.Errorf("the end of the group: %s", diff)
		}
	}, db)
}

// A server that was about to start again when all are to stop gives back what was kept for that, once.
func TestRestAtTheEndOfARestart(t *testing.T) {
	rested := 0
	g := NewGroup(Server{Name: "db", Run: done, Rest: func() { rested++ }})
	a := g.Actors()[0]
	g.mu.Lock()
	for _, state := range []State{Starting, Ready, Stopping} {
		a.to(state, nil, 0)
	}
	a.ask = Restart
	a.to(Stopped, nil, 0)
	if rested != 0 {
		t.Error("a restart gives back what is kept for it")
	}
	g.closing = true
	g.mu.Unlock()
	for range 2 {
		if end, err := a.rest(); !end || err != nil || rested != 1 {
			t.Errorf("it ends: %v, with %v, and has given back %d times", end, err, rested)
		}
	}
}

// Those that are asked to stop together end those first that need others, whatever the order in which they are named.
func TestStopOfAllByRequest(t *testing.T) {
	db, api, ui, other := fourParts()
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui, other)
		l.ask(Stop, db, other, ui).want("")
		l.wantOrder("ui stopped", "api stopping", "api stopped", "db stopping", "db stopped")
		l.wantOf(other, "starting", "ready", "stopping", "stopped")
		// Somebody may start them again.
		l.goesOn()
		l.fresh()
		r := l.ask(Start, ui)
		l.wantNewSet("api waiting", "ui waiting", "db waiting", "db starting")
		becomeReady(db, api)
		r.pending()
		becomeReady(ui)
		r.want("")
		l.wantNew("db ready", "api starting", "api ready", "ui starting", "ui ready")
		l.wantOf(other, "starting", "ready", "stopping", "stopped")
		l.stop()
	}, db, api, ui, other)
}

// wantNewSet does the same as wantNew, for servers that do not wait for each other: there is no order between them.
func (l *lifeTest) wantNewSet(want ...string) {
	l.t.Helper()
	synctest.Wait()
	var got []string
	for _, e := range l.fresh() {
		got = append(got, fmt.Sprintf("%s %v", e.Server, e.To))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("events, sorted (-want +got):\n%s", diff)
	}
}

func TestRestartByRequest(t *testing.T) {
	db, api, ui, other := fourParts()
	api.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui, other)
		l.fresh()
		r := l.ask(Restart, api)
		l.wantNew("api stopping")
		time.Sleep(time.Second)
		l.wantNew("api stopped", "api waiting", "api starting")
		r.pending()
		becomeReady(api)
		l.wantNew("api ready")
		r.want("")
		l.stop()
	}, db, api, ui, other)
}

// If two servers are restarted together, the one that needs the other ends first, and starts last.
func TestRestartOfTwo(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		db, api, ui, other := fourParts()
		api.slow, db.slow = time.Second, time.Second
		inBubble(t, func(l *lifeTest) {
			becomeReady(db, api, ui, other)
			l.fresh()
			both := []*part{db, api}
			if swapped {
				both = []*part{api, db}
			}
			r := l.ask(Restart, both...)
			l.wantNew("api stopping")
			time.Sleep(time.Second)
			synctest.Wait()
			l.wantNewSet("api stopped", "api waiting", "db stopping")
			time.Sleep(time.Second)
			l.wantNew("db stopped", "db waiting", "db starting")
			becomeReady(db)
			l.wantNew("db ready", "api starting")
			r.pending()
			becomeReady(api)
			l.wantNew("api ready")
			r.want("")
			l.stop()
		}, db, api, ui, other)
	}
}

// What is asked of a server in each of its states, and what comes of it. api needs db and is in the state; ui needs
// api.
func TestRequestInEachState(t *testing.T) {
	for _, test := range []struct {
		state State
		ask   Verb
		want  []string // of api, from then on: with a need that is ready, and until it has become ready
	}{
		{Waiting, Stop, []string{"stopped"}},
		{Waiting, Restart, []string{"starting", "ready"}},
		{Waiting, Start, []string{"starting", "ready"}},
		{Starting, Stop, []string{"stopping", "stopped"}},
		{Starting, Restart, []string{"stopping", "stopped", "waiting", "starting", "ready"}},
		{Starting, Start, []string{"ready"}},
		{Ready, Stop, []string{"stopping", "stopped"}},
		{Ready, Restart, []string{"stopping", "stopped", "waiting", "starting", "ready"}},
		{Ready, Start, nil},
		{Stopping, Stop, []string{"stopped"}},
		{Stopping, Restart, []string{"stopped", "waiting", "starting", "ready"}},
		{Stopping, Start, []string{"stopped", "waiting", "starting", "ready"}},
		{Backoff, Stop, []string{"stopped"}},
		{Backoff, Restart, []string{"starting", "ready"}},
		{Backoff, Start, []string{"starting", "ready"}},
		{Stopped, Stop, nil},
		{Stopped, Restart, []string{"waiting", "starting", "ready"}},
		{Stopped, Start, []string{"waiting", "starting", "ready"}},
		{Failed, Stop, nil},
		{Failed, Restart, []string{"waiting", "starting", "ready"}},
		{Failed, Start, []string{"waiting", "starting", "ready"}},
	} {
		t.Run(fmt.Sprintf("%s in %v", test.ask, test.state), func(t *testing.T) {
			db, api, ui, _ := fourParts()
			api.slow = 2 * time.Second
			if test.state == Failed {
				api.Restart = RestartNever
			}
			inBubbleWith(t, keepGoing, func(l *lifeTest) {
				if test.state != Waiting {
					becomeReady(db)
				}
				if test.state >= Ready {
					becomeReady(api)
				}
				switch test.state {
				case Stopping:
					l.ask(Stop, api)
				case Stopped:
					l.ask(Stop, api)
					time.Sleep(2 * time.Second)
				case Backoff, Failed:
					api.end <- errors.New("boom")
				}
				synctest.Wait()
				if got := api.actor.current(); got != test.state {
					t.Fatalf("api is %v", got)
				}
				l.fresh()
				before := len(l.all())
				r := l.ask(test.ask, api)
				if test.state == Waiting {
					becomeReady(db)
				}
				time.Sleep(2 * time.Second)
				becomeReady(api)
				r.want("")
				var got []string
				for _, e := range l.all()[before:] {
					if e[:3] == "api" {
						got = append(got, e[4:])
					}
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("states of api (-want +got):\n%s", diff)
				}
				l.goesOn()
				l.signals <- syscall.SIGTERM
				_ = l.end() // that api has failed is not forgotten, if it has not been started again
			}, db, api, ui)
		})
	}
}

// A request is a new beginning: what has failed before does not count any more.
func TestRequestForgetsFailures(t *testing.T) {
	for _, what := range []Verb{Restart, Start} {
		api := restarting(RestartOnFailure, "api")
		inBubble(t, func(l *lifeTest) {
			becomeReady(api)
			for range 3 {
				want := 200 * time.Millisecond
				for n := range 4 {
					api.end <- errors.New("boom")
					pause := l.backedOff(api).Wait
					jittered(t, pause, want)
					want *= 2
					if n < 3 {
						time.Sleep(pause)
						becomeReady(api)
						l.wantNew("api starting", "api ready")
					}
				}
				r := l.ask(what, api)
				l.wantNew("api starting") // at once
				becomeReady(api)
				r.want("")
			}
			l.stop()
		}, api)
	}
}

// So it is when the server has ended.
func TestStartForgetsFailures(t *testing.T) {
	for _, end := range []State{Stopped, Failed} {
		api, other := restarting(RestartOnFailure, "api"), newPart("other")
		inBubbleWith(t, keepGoing, func(l *lifeTest) {
			becomeReady(other)
			for range 4 {
				becomeReady(api)
				api.end <- errors.New("boom")
				time.Sleep(l.backedOff(api).Wait)
				l.wantNew("api starting")
			}
			if end == Stopped {
				l.ask(Stop, api).want("")
			} else {
				api.end <- errors.New("boom")
			}
			synctest.Wait()
			if got := api.actor.current(); got != end {
				t.Fatalf("api is %v", got)
			}
			l.ask(Start, api)
			becomeReady(api)
			api.end <- errors.New("boom")
			jittered(t, l.backedOff(api).Wait, 200*time.Millisecond)
			l.stop()
		}, api, other)
	}
}

// A server in Backoff that is to start at once waits for what it needs.
func TestRestartInBackoffWithoutNeed(t *testing.T) {
	db, api, ui, _ := fourParts()
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		db.end <- errors.New("boom")
		dbPause := l.backedOff(db).Wait
		api.end <- errors.New("boom")
		l.backedOff(api)
		r := l.ask(Restart, api)
		l.wantNew("api waiting")
		r.pending()
		time.Sleep(dbPause)
		becomeReady(db, api)
		r.want("")
		l.stop()
	}, db, api, ui)
}

// A restart of a server that waits, and of the one for which it waits, comes to pass in each order in which they notice
// it.
func TestRestartWhileWaiting(t *testing.T) {
	for range 50 { // to be seen in each order
		db, api, ui, _ := fourParts()
		inBubble(t, func(l *lifeTest) {
			becomeReady(db)
			r := l.ask(Restart, db, api, ui)
			becomeReady(db, api)
			r.pending()
			becomeReady(ui)
			r.want("")
			l.wantOf(ui, "starting", "ready")
			l.stop()
		}, ui, db, api)
	}
}

// A stop and a start are done one after the other.
func TestStartWhileStopping(t *testing.T) {
	db, api, ui, _ := fourParts()
	ui.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui)
		l.fresh()
		stop := l.ask(Stop, db)
		start := l.ask(Start, api)
		l.wantNew("ui stopping")
		stop.pending()
		time.Sleep(time.Second)
		becomeReady(db, api)
		start.want("")
		// Whoever wanted the stop is told, for db and api have started again since; or has seen them stopped.
		synctest.Wait()
		if len(stop.answer) != 1 {
			t.Error("the stop has no answer")
		}
		l.wantOf(ui, "starting", "ready", "stopping", "stopped")
		l.wantOf(api, "starting", "ready", "stopping", "stopped", "waiting", "starting", "ready")
		l.wantOf(db, "starting", "ready", "stopping", "stopped", "waiting", "starting", "ready")
		l.wantOrder("ui stopped", "api stopping", "api stopped", "db stopping", "db stopped")
		l.stop()
	}, db, api, ui)
}

// One that is done is in no way stopped: the group ends when all are done, and stays when somebody has stopped one of
// them.
func TestEndOfTheGroup(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		db, job := restarting(RestartOnFailure, "db"), restarting(RestartOnFailure, "job")
		inBubble(t, func(l *lifeTest) {
			becomeReady(db, job)
			if stopped {
				l.ask(Stop, db).want("")
			} else {
				db.end <- nil
			}
			job.end <- nil
			synctest.Wait()
			l.wantOf(job, "starting", "ready", "stopped")
			if stopped {
				l.goesOn()
				// When it has been started again, and is done, all are done.
				l.ask(Start, db)
				becomeReady(db)
				db.end <- nil
			}
			if err := l.end(); err != nil {
				t.Error(err)
			}
		}, db, job)
	}
}

// A stop of a server that is done keeps the group, too: it has been said that it is not to run, not that the group is
// to end.
func TestStopOfOneThatIsDone(t *testing.T) {
	db, job := newPart("db"), newPart("job")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, job)
		job.end <- nil
		synctest.Wait()
		l.ask(Stop, job).want("")
		db.end <- nil
		l.goesOn()
		l.stop()
	}, db, job)
}

// A server that was to stop fails before: it has failed, but nobody is to end because of it.
func TestFailureWhileStoppingByRequest(t *testing.T) {
	db, api, ui, other := fourParts()
	ui.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui, other)
		r := l.ask(Stop, api)
		api.end <- errors.New("boom")
		synctest.Wait()
		l.wantOf(api, "starting", "ready", "failed")
		r.pending()
		time.Sleep(time.Second)
		r.want("api failed: boom")
		l.goesOn()
		l.ask(Stop, db).want("") // that api had failed before is no news
		r = l.ask(Start, ui)
		becomeReady(db, api, ui)
		r.want("")
		l.stop()
	}, db, api, ui, other)
}

// A server is found by each of its names.
func TestFind(t *testing.T) {
	db := newPart("db")
	db.Aliases = []string{"database"}
	g := NewGroup(*db.Server, *newPart("api").Server)
	for _, name := range []string{"db", "database"} {
		if a := g.Find(name); a == nil || a.Name() != "db" {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := g.Find("ap"); a != nil {
		t.Errorf("there is a server %v", a.Name())
	}
	if _, err := g.Ask(Stop, nil, "db", "ap"); fmt.Sprint(err) != `there is no server "ap"` {
		t.Errorf("error %v", err)
	}
}
