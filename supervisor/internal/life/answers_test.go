package life

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits for something is told when somebody else wants something else.
func TestSupersededRequests(t *testing.T) {
	db, api, ui, _ := fourParts()
	api.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		start := l.ask(Start, api)
		stop := l.ask(Stop, api)
		start.want("api: somebody else has asked it to stop")
		time.Sleep(time.Second)
		stop.want("")

		start = l.ask(Start, ui)
		restart := l.ask(Restart, ui)
		l.ask(Stop, ui).want("")
		start.pending() // what ui needs is still being started
		becomeReady(api)
		start.want("ui: somebody else has asked it to stop")
		restart.want("ui: somebody else has asked it to stop")

		// A stop that is superseded before it begins is one, too.
		l.ask(Start, ui)
		becomeReady(ui)
		ui.slow = time.Second
		stop = l.ask(Stop, api)
		start = l.ask(Start, api)
		time.Sleep(2 * time.Second)
		stop.want("api: somebody else has asked it to start")
		becomeReady(api)
		start.want("")
		l.stop()
	}, db, api, ui)
}

// Whoever waits for a start is told when it fails.
func TestFailureWhileStartingByRequest(t *testing.T) {
	for _, what := range []Verb{Start, Restart} {
		for _, way := range ways {
			if way.ready {
				continue
			}
			t.Run(fmt.Sprint(what, way.name), func(t *testing.T) {
				db, api, ui, _ := fourParts()
				inBubbleWith(t, keepGoing, func(l *lifeTest) {
					becomeReady(db, api)
					l.ask(Stop, api).want("")
					r := l.ask(what, api)
					way.fail(api)
					r.want("api failed: " + way.want + "; it is started again by itself")

					// It has not been asked again, and starts by itself all the same.
					time.Sleep(l.backedOff(api).Wait)
					l.wantNew("api starting")

					way.fail(api)
					l.backedOff(api)
					r = l.ask(what, api)
					l.wantNew("api starting")
					becomeReady(api)
					r.want("")

					api.actor.s.Restart = RestartNever
					r = l.ask(Restart, api)
					way.fail(api)
					r.want("api failed: " + way.want)
					l.goesOn()
					l.signals <- syscall.SIGTERM
					_ = l.end()
				}, db, api, ui)
			})
		}
	}
}

// When a server fails for good that somebody has started, the group ends, unless it is to keep going; he is told
// before.
func TestFailureForGoodByRequest(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		l.ask(Stop, api)
		r := l.ask(Start, api)
		api.ready <- errors.New("boom")
		if err := l.end(); err == nil || err.Error() != "api failed: boom" {
			t.Errorf("error %v", err)
		}
		r.want("api failed: boom")
	}, db, api)
}

// One that may fail alone leaves the others as they are: who has asked is told, and may mend it. Once it has been ready
// it is like any other.
func TestFailsAlone(t *testing.T) {
	for _, what := range []Verb{Start, Restart} {
		db, api := newPart("db"), newPart("api", "db")
		api.FailsAlone = true
		inBubble(t, func(l *lifeTest) {
			becomeReady(db, api)
			for range 2 {
				if what == Start {
					l.ask(Stop, api)
				}
				r := l.ask(what, api)
				api.ready <- errors.New("boom")
				r.want("api failed: boom")
				l.goesOn()
				l.wantOf(db, "starting", "ready")
				r = l.ask(what, api)
				becomeReady(api)
				r.want("")
			}
			api.end <- errors.New("out of ink")
			if err := l.end(); err == nil || err.Error() != "api failed: out of ink" {
				t.Errorf("error %v", err)
			}
		}, db, api)
	}
}

// Its first start is the run's own.
func TestFailsAloneIsForRequests(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	api.FailsAlone = true
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		api.ready <- errors.New("boom")
		if err := l.end(); err == nil || err.Error() != "api failed: boom" {
			t.Errorf("error %v", err)
		}
	}, db, api)
}

// So it is when it fails five times, and when the group is stopped then, that is what it has failed of.
func TestFailsAloneAfterFiveTimes(t *testing.T) {
	db, api := newPart("db"), restarting(RestartOnFailure, "api", "db")
	api.FailsAlone = true
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		l.fresh()
		l.ask(Restart, api)
		for range 4 {
			api.ready <- errors.New("boom")
			time.Sleep(l.backedOff(api).Wait)
		}
		api.ready <- errors.New("boom")
		l.goesOn()
		l.signals <- syscall.SIGTERM
		if err := l.end(); err == nil || err.Error() != "api failed: boom (it has failed 5 times within 1m0s)" {
			t.Errorf("error %v", err)
		}
		l.wantOf(db, "starting", "ready", "stopping", "stopped")
	}, db, api)
}

// Whoever starts or restarts what cannot start, for what it needs has ended, is told.
func TestStartWithoutNeed(t *testing.T) {
	db, api, ui, other := newPart("db"), newPart("api", "db"), newPart("ui", "api"), newPart("other")
	inBubbleWith(t, keepGoing, func(l *lifeTest) {
		becomeReady(db, api, ui, other)
		db.end <- errors.New("disk full")
		synctest.Wait()
		l.fresh()
		r := l.ask(Restart, ui, api)
		r.want("ui waits for db, which is failed: start that one\napi waits for db, which is failed: start that one")
		l.wantNewSet("ui stopping", "ui stopped", "ui waiting", "api stopping", "api stopped", "api waiting")
		l.goesOn()
		// A start begins with what is needed.
		r = l.ask(Start, api)
		becomeReady(db, api, ui)
		r.want("")
		l.wantNewSet("db waiting", "db starting", "db ready", "api starting", "api ready", "ui starting", "ui ready")
		l.stop()
	}, db, api, ui, other)
}

// A server that was left behind after a stop by request is no reason for the others to end. It cannot be started again
// as long as its Run lasts.
func TestLeftBehindByRequest(t *testing.T) {
	for _, alone := range []bool{false, true} {
		for _, what := range []Verb{Stop, Restart} {
			db, api := newPart("db"), leftBehind(newPart("api", "db"))
			parts := []*part{db, api}
			if alone {
				api, parts = leftBehind(newPart("api")), nil
				parts = []*part{api}
			}
			inBubble(t, func(l *lifeTest) {
				becomeReady(parts...)
				begin := time.Now()
				r := l.ask(what, api)
				time.Sleep(DefaultGracePeriod)
				r.want("api failed: it did not stop within 10s and is left behind; be patient")
				l.wantOf(api, "starting", "ready", "stopping", "failed")
				refused := "api was left behind when it did not stop, and still runs: end it"
				l.wantRefused(refused, Start, api)
				l.wantRefused(refused, Restart, api)
				// It has not been stopped by another request either.
				l.ask(Stop, api).want("api failed: it did not stop within 10s and is left behind; be patient")
				time.Sleep(time.Hour - time.Since(begin) - 1)
				l.wantRefused(refused, Start, api)
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				l.ask(Stop, api).want("")
				r = l.ask(Start, api)
				becomeReady(api)
				r.want("")
				l.goesOn()
				l.signals <- syscall.SIGTERM
				wantFailure(t, l.end()) // it overstays again
			}, parts...)
		}
	}
}

// What cannot be asked of a server that can start only once.
func TestRequestsToOneThatStartsOnce(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	api.slow = time.Second
	api.StartsOnce = func() bool { return true }
	const refused = "api can start only once in a process: begin anew"
	inBubble(t, func(l *lifeTest) {
		l.wantNew("db starting")
		// It has not started yet.
		l.ask(Stop, api).want("")
		r := l.ask(Start, api)
		becomeReady(db, api)
		r.want("")
		l.ask(Start, api).want("")
		l.wantRefused(refused, Restart, api)
		l.wantRefused(refused, Restart, db, api)
		l.wantNew("api stopped", "api waiting", "db ready", "api starting", "api ready")

		// What it needs can be restarted.
		r = l.ask(Restart, db)
		becomeReady(db)
		r.want("")

		r = l.ask(Stop, api)
		l.wantRefused(refused, Start, api) // while it is stopping
		time.Sleep(time.Second)
		r.want("")
		l.wantRefused(refused, Start, api)
		l.wantRefused(refused, Restart, api)
		l.ask(Start, db).want("")
		l.wantOf(api, "stopped", "waiting", "starting", "ready", "stopping", "stopped")
		l.stop()
	}, db, api)
}

// When all are being stopped, nothing can be asked any more, and whoever waits is told.
func TestRequestsWhileClosing(t *testing.T) {
	db, api, ui, other := fourParts()
	ui.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui)
		stop := l.ask(Stop, ui)
		start := l.ask(Start, other)
		restart := l.ask(Restart, api)
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		for _, what := range []Verb{Start, Stop, Restart} {
			l.wantRefused("all servers are being stopped", what, db)
		}
		start.want("other: all servers are being stopped")
		if err := l.end(); err != nil {
			t.Error(err)
		}
		stop.want("")
		restart.want("api: all servers are being stopped")
	}, db, api, ui, other)
}

// A client that goes away does not take back what it has asked for.
func TestClientThatGoesAway(t *testing.T) {
	db, api, ui, _ := fourParts()
	ui.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api, ui)
		w, err := l.g.askFor(Stop, actorsOf([]*part{api})...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if err := w.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		l.wantOf(api, "starting", "ready", "stopping", "stopped")
		l.stop()
	}, db, api, ui)
}
