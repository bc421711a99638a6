package life

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// restarting returns a part with this restart policy.
func restarting(policy RestartPolicy, name string, needs ...string) *part {
	p := newPart(name, needs...)
	p.Restart = policy
	return p
}

// jittered checks a pause before a start against what it would be without chance.
func jittered(t *testing.T, got, want time.Duration) {
	t.Helper()
	low, high := time.Duration(math.Round(0.8*float64(want))), time.Duration(math.Round(1.2*float64(want)))
	if got < low || got > high {
		t.Errorf("a pause of %v, want %v to %v", got, low, high)
	}
}

// stop ends a test in which the servers are well.
func (l *lifeTest) stop() {
	l.t.Helper()
	l.signals <- syscall.SIGTERM
	if err := l.end(); err != nil {
		l.t.Errorf("error at the end: %v", err)
	}
}

// backedOff checks that the last event is that of a server in Backoff, and returns it.
func (l *lifeTest) backedOff(p *part) Event {
	l.t.Helper()
	synctest.Wait()
	fresh := l.fresh()
	if len(fresh) == 0 || fresh[len(fresh)-1].Server != p.Name || fresh[len(fresh)-1].To != Backoff {
		l.t.Fatalf("%s is not in Backoff: %v", p.Name, fresh)
	}
	return fresh[len(fresh)-1]
}

func TestPauses(t *testing.T) {
	at := time.Unix(0, 0)
	const samples = 2000
	for n, want := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond} {
		shortest, longest := time.Hour, time.Duration(0)
		for range samples {
			var f failures
			for range n {
				f.add(at, Limits{})
			}
			wait, ok := f.add(at, Limits{})
			if !ok {
				t.Fatalf("failure %d is one too many", n+1)
			}
			jittered(t, wait, want)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		// That they all are in the middle is not what chance does.
		if shortest > want*82/100 || longest < want*118/100 {
			t.Errorf("pauses between %v and %v: %v is not spread by a fifth", shortest, longest, want)
		}
	}
	var f failures
	for range 4 {
		f.add(at, Limits{})
	}
	if wait, ok := f.add(at, Limits{}); ok || wait != 0 {
		t.Errorf("the fifth failure: %v, %v", wait, ok)
	}
}

// Pauses do not grow without an end, however many failures are allowed, and however long they are to be.
func TestPausesHaveALimit(t *testing.T) {
	for _, test := range []struct{ pause, want time.Duration }{
		{0, pauseLimit}, {time.Minute, pauseLimit}, {time.Hour, time.Hour}, {math.MaxInt64, math.MaxInt64 / 2},
	} {
		var f failures
		for range 200 {
			wait, ok := f.add(time.Unix(0, 0), Limits{Failures: 1000, Pause: test.pause})
			if !ok || wait <= 0 || float64(wait) > float64(test.want)*1.2 {
				t.Fatalf("a pause of %v, want %v at the most", wait, test.want)
			}
		}
	}
}

// Failures count for a minute.
func TestFailuresDropOut(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(0, 0).Add(d) }
	f := failures{worked: true}
	for range 4 {
		f.add(at(0), Limits{})
	}
	inTime := failures{times: slices.Clone(f.times), worked: true}
	if _, ok := inTime.add(at(time.Minute-1), Limits{}); ok {
		t.Error("the fifth failure within a minute is not one too many")
	}
	wait, ok := f.add(at(time.Minute), Limits{})
	if !ok {
		t.Error("failures that are a minute old count")
	}
	jittered(t, wait, 200*time.Millisecond)
	f = failures{worked: true}
	for n := range 100 { // never more than four within a minute
		if _, ok := f.add(at(time.Duration(n)*15*time.Second), Limits{}); !ok {
			t.Fatalf("failure %d is one too many", n+1)
		}
	}
}

// ways are the ways in which a server fails, with the reason that it gives.
var ways = []struct {
	name  string
	ready bool // it fails when it has been ready
	fail  func(p *part)
	want  string
}{
	{"Run fails while starting", false, func(p *part) { p.end <- errors.New("boom") }, "boom"},
	{"Run panics while starting", false, func(p *part) { p.end <- errors.New("panic attack") }, "panic: panic attack"},
	{"Run is done before it is ready", false, func(p *part) { p.end <- nil }, "it ended before it was ready"},
	{"Ready fails", false, func(p *part) { p.ready <- errors.New("boom") }, "boom"},
	{"Fail while starting", false, func(p *part) { p.Fail(errors.New("boom")) }, "boom"},
	{"Run fails", true, func(p *part) { p.end <- errors.New("boom") }, "boom"},
	{"Run panics", true, func(p *part) { p.end <- errors.New("panic attack") }, "panic: panic attack"},
	{"Fail", true, func(p *part) { p.Fail(errors.New("boom")) }, "boom"},
}

// A server that has failed starts again, after a pause, and those that need it and were there go on.
func TestFailedServerStartsAgain(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			db, api, ui := newPart("db"), restarting("", "api", "db"), newPart("ui", "api")
			inBubble(t, func(l *lifeTest) {
				becomeReady(db)
				if way.ready {
					becomeReady(api, ui)
				}
				way.fail(api)
				e := l.backedOff(api)
				if e.Err == nil || e.Err.Error() != way.want {
					t.Errorf("error %v, want %s", e.Err, way.want)
				}
				jittered(t, e.Wait, 200*time.Millisecond)
				time.Sleep(e.Wait - 1)
				l.wantNew()
				time.Sleep(time.Nanosecond)
				l.wantNew("api starting")
				becomeReady(api)
				if way.ready {
					l.wantNew("api ready")
					l.wantOf(ui, "starting", "ready")
				} else {
					l.wantNew("api ready", "ui starting")
				}
				l.wantOf(db, "starting", "ready")
				l.stop()
			}, db, api, ui)
		})
	}
}

// A server that is to be started again, but has failed too often, has failed for good: all are stopped.
func TestFiveFailuresWithinAMinute(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			db, api, ui := newPart("db"), restarting(RestartOnFailure, "api", "db"), newPart("ui", "api")
			inBubble(t, func(l *lifeTest) {
				becomeReady(db)
				want := 200 * time.Millisecond
				for n := range 4 {
					if way.ready {
						becomeReady(api)
					}
					if n == 0 && way.ready {
						becomeReady(ui)
					}
					way.fail(api)
					e := l.backedOff(api)
					jittered(t, e.Wait, want)
					want *= 2
					time.Sleep(e.Wait)
					l.wantNew("api starting")
				}
				if way.ready {
					becomeReady(api)
				}
				way.fail(api)
				err := l.end()
				wantFailure(t, err)
				if want := "api failed: " + way.want + " (it has failed 5 times within 1m0s)"; err == nil || err.Error() != want {
					t.Errorf("error %v, want %s", err, want)
				}
				l.wantOf(db, "starting", "ready", "stopping", "stopped")
				if way.ready {
					l.wantOf(ui, "starting", "ready", "stopping", "stopped")
				} else {
					l.wantOf(ui, "stopped")
				}
			}, db, api, ui)
		})
	}
}

// A server that fails now and then is started again for ever.
func TestRareFailures(t *testing.T) {
	api := restarting(RestartOnFailure, "api")
	inBubble(t, func(l *lifeTest) {
		for range 20 {
			becomeReady(api)
			time.Sleep(time.Minute)
			api.end <- errors.New("boom")
			e := l.backedOff(api)
			jittered(t, e.Wait, 200*time.Millisecond)
			time.Sleep(e.Wait)
			l.wantNew("api starting")
		}
		l.stop()
	}, api)
}

func TestPolicies(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		policy RestartPolicy
		end    error
		want   State
		err    string // of the group, if it ends
	}{
		{"", nil, Stopped, ""},
		{"", boom, Backoff, ""},
		{RestartNever, nil, Stopped, ""},
		{RestartNever, boom, Failed, "api failed: boom"},
		{RestartOnFailure, nil, Stopped, ""},
		{RestartOnFailure, boom, Backoff, ""},
		{RestartAlways, nil, Backoff, ""},
		{RestartAlways, boom, Backoff, ""},
	} {
		t.Run(fmt.Sprint(test.policy, " ", test.end), func(t *testing.T) {
			api := restarting(test.policy, "api")
			inBubble(t, func(l *lifeTest) {
				becomeReady(api)
				api.end <- test.end
				if test.want == Backoff {
					e := l.backedOff(api)
					if !errors.Is(e.Err, test.end) {
						t.Errorf("error %v, want %v", e.Err, test.end)
					}
					time.Sleep(e.Wait)
					l.wantNew("api starting")
					l.stop()
					return
				}
				err := l.end()
				if got := fmt.Sprint(err); got != test.err && (err != nil || test.err != "") {
					t.Errorf("error %v, want %q", err, test.err)
				}
				l.want("api starting", "api ready", "api "+test.want.String())
			}, api)
		})
	}
}

// A server that is always to run, but is done again and again, does not do what it is for.
func TestDoneTooOften(t *testing.T) {
	api := restarting(RestartAlways, "api")
	inBubble(t, func(l *lifeTest) {
		want := 200 * time.Millisecond
		for range 4 {
			becomeReady(api)
			api.end <- nil
			e := l.backedOff(api)
			jittered(t, e.Wait, want)
			want *= 2
			time.Sleep(e.Wait)
			l.wantNew("api starting")
		}
		becomeReady(api)
		api.end <- nil
		if err := l.end(); err == nil || err.Error() != "api failed: it has ended 5 times within 1m0s" {
			t.Errorf("error %v", err)
		}
	}, api)
}

// A signal is the end also for a server that waits for its next start, and that it had failed is no reason for exit
// code 1.
func TestSignalInBackoff(t *testing.T) {
	db, api := newPart("db"), restarting(RestartOnFailure, "api", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		api.end <- errors.New("boom")
		l.backedOff(api)
		begin := time.Now()
		l.stop()
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		l.wantOf(api, "starting", "ready", "backoff", "stopped")
	}, db, api)
}

// What fails when all were asked to stop has failed, whatever its policy is.
func TestNoRestartWhileStopping(t *testing.T) {
	for _, policy := range []RestartPolicy{RestartOnFailure, RestartAlways} {
		for _, end := range []error{errors.New("disk full"), nil} {
			db, api := restarting(policy, "db"), newPart("api", "db")
			api.slow = 5 * time.Second
			inBubble(t, func(l *lifeTest) {
				becomeReady(db, api)
				l.signals <- syscall.SIGTERM
				synctest.Wait()
				db.end <- end
				err := l.end()
				if end == nil {
					l.wantOf(db, "starting", "ready", "stopped")
				} else {
					l.wantOf(db, "starting", "ready", "failed")
				}
				if (err != nil) != (end != nil) {
					t.Errorf("error %v", err)
				}
			}, db, api)
		}
	}
}

// A server that is to start again waits, when its pause is over, for those that it needs and that are not ready.
func TestBackoffWithoutNeed(t *testing.T) {
	db, api := restarting(RestartOnFailure, "db"), restarting(RestartOnFailure, "api", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		api.end <- errors.New("no database")
		pause := l.backedOff(api).Wait
		db.end <- errors.New("boom")
		dbPause := l.backedOff(db).Wait
		time.Sleep(max(pause, dbPause))
		synctest.Wait()
		l.wantOf(api, "starting", "ready", "backoff", "waiting")
		l.wantOf(db, "starting", "ready", "backoff", "starting")
		l.fresh()
		becomeReady(db)
		l.wantNew("db ready", "api starting")
		becomeReady(api)
		l.stop()
	}, db, api)
}

// A server that needs one that is done at once starts all the same, and starts again if it fails.
func TestNeedOfOneThatIsDone(t *testing.T) {
	for range 20 { // to be seen in each order
		job, api := newPart("job"), restarting(RestartOnFailure, "api", "job")
		job.Ready = nil
		job.Run = done
		inBubble(t, func(l *lifeTest) {
			l.wantOf(job, "starting", "ready", "stopped")
			l.wantOf(api, "starting")
			becomeReady(api)
			api.end <- errors.New("boom")
			time.Sleep(l.backedOff(api).Wait)
			l.wantNew("api starting")
			l.stop()
		}, job, api)
	}
}

// keepGoing is for inBubbleWith.
func keepGoing(g *Group) { g.KeepGoing = true }

// With --keep-going the others go on. The group ends when all have ended, with the failure that came first.
func TestKeepGoing(t *testing.T) {
	db, api, other, job := newPart("db"), newPart("api", "db"), newPart("other"), newPart("job")
	inBubbleWith(t, keepGoing, func(l *lifeTest) {
		becomeReady(db, api, other, job)
		db.end <- errors.New("disk full")
		synctest.Wait()
		time.Sleep(time.Minute)
		other.end <- errors.New("boom")
		time.Sleep(time.Minute)
		job.end <- nil
		time.Sleep(time.Minute)
		l.wantOf(db, "starting", "ready", "failed")
		l.wantOf(other, "starting", "ready", "failed")
		l.wantOf(job, "starting", "ready", "stopped")
		l.wantOf(api, "starting", "ready")
		select {
		case err := <-l.result:
			t.Fatalf("the group has ended while api runs: %v", err)
		default:
		}
		api.end <- nil
		err := l.end()
		wantFailure(t, err)
		if err == nil || err.Error() != "db failed: disk full" {
			t.Errorf("error %v, want the first one", err)
		}
		l.wantOf(api, "starting", "ready", "stopped")
	}, other, api, db, job)
}

// A signal ends it, too, and the failure is not forgotten.
func TestSignalWithKeepGoing(t *testing.T) {
	db, other := newPart("db"), newPart("other")
	inBubbleWith(t, keepGoing, func(l *lifeTest) {
		becomeReady(db, other)
		db.end <- errors.New("disk full")
		synctest.Wait()
		l.signals <- syscall.SIGTERM
		if err := l.end(); err == nil || err.Error() != "db failed: disk full" {
			t.Errorf("error %v", err)
		}
		l.wantOf(other, "starting", "ready", "stopping", "stopped")
	}, db, other)
}

// Servers that wait for a server that has failed for good, or for one that waits so, do not run: the group ends.
func TestKeepGoingWithWaitingServers(t *testing.T) {
	db, api, ui, other := newPart("db"), newPart("api", "db"), newPart("ui", "api"), newPart("other")
	inBubbleWith(t, keepGoing, func(l *lifeTest) {
		becomeReady(other)
		db.end <- errors.New("disk full")
		time.Sleep(time.Minute)
		l.wantOf(api)
		l.wantOf(other, "starting", "ready")
		other.end <- nil
		if err := l.end(); err == nil || err.Error() != "db failed: disk full" {
			t.Errorf("error %v", err)
		}
		l.wantOf(api, "stopped")
		l.wantOf(ui, "stopped")
	}, ui, api, db, other)
}

// A server that can start only once has failed for good when it fails, or is done when it is.
func TestStartsOnce(t *testing.T) {
	for _, test := range []struct {
		policy RestartPolicy
		end    error
		want   string
	}{
		{RestartOnFailure, errors.New("boom"), "api failed: boom; api can start only once in a process: begin anew"},
		{RestartAlways, errors.New("boom"), "api failed: boom; api can start only once in a process: begin anew"},
		{RestartNever, errors.New("boom"), "api failed: boom"},
		{RestartAlways, nil, "<nil>"},
	} {
		api := restarting(test.policy, "api")
		api.StartsOnce = func() bool { return true }
		inBubble(t, func(l *lifeTest) {
			becomeReady(api)
			api.end <- test.end
			if err := l.end(); fmt.Sprint(err) != test.want {
				t.Errorf("%s, %v: error %v, want %s", test.policy, test.end, err, test.want)
			}
		}, api)
	}
	api := newPart("api")
	api.Restart, api.StartsOnce = "", func() bool { return false }
	inBubble(t, func(l *lifeTest) {
		becomeReady(api)
		api.end <- errors.New("boom")
		time.Sleep(l.backedOff(api).Wait)
		l.wantNew("api starting")
		l.stop()
	}, api)
}

// A server that fails and then overstays is left behind, and not started again: it may still use its port.
func TestFailedServerThatOverstays(t *testing.T) {
	db, api := newPart("db"), restarting(RestartAlways, "api", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		begin := time.Now()
		api.Fail(errors.New("boom"))
		err := l.end()
		if took := time.Since(begin); took != DefaultGracePeriod {
			t.Errorf("it took %v", took)
		}
		contains(t, fmt.Sprint(err), "api failed: boom\nit did not stop within 10s and is left behind")
		l.wantOf(api, "starting", "ready", "failed")
		l.wantOf(db, "starting", "ready", "stopping", "stopped")
	}, db, leftBehind(api))
}

// So is one whose Run has returned, and whose Ready has not.
func TestReadyThatOverstays(t *testing.T) {
	api := restarting(RestartAlways, "api")
	api.Ready = func(context.Context) error { time.Sleep(time.Hour); return nil }
	inBubble(t, func(l *lifeTest) {
		api.end <- errors.New("boom")
		contains(t, fmt.Sprint(l.end()), "api failed: boom\nit did not stop within 10s and is left behind")
		l.want("api starting", "api failed")
	}, api)
}

// What an earlier start has failed with does not count for the next one.
func TestFailOfAnEarlierStart(t *testing.T) {
	api := restarting(RestartOnFailure, "api")
	inBubble(t, func(l *lifeTest) {
		becomeReady(api)
		api.end <- errors.New("boom")
		pause := l.backedOff(api).Wait
		api.Fail(errors.New("still dying"))
		time.Sleep(pause)
		l.wantNew("api starting")
		becomeReady(api)
		l.wantNew("api ready")
		l.stop()
	}, api)
}

// Ready is called once for each start, and ends with it.
func TestReadyOfEachStart(t *testing.T) {
	api := restarting(RestartOnFailure, "api")
	var running, most, calls int
	api.Ready = func(ctx context.Context) error {
		calls++
		running++
		most = max(most, running)
		defer func() { running-- }()
		<-ctx.Done()
		time.Sleep(time.Second) // it takes its time
		return ctx.Err()
	}
	inBubble(t, func(l *lifeTest) {
		for range 3 {
			api.end <- errors.New("boom")
			time.Sleep(time.Second)
			time.Sleep(l.backedOff(api).Wait)
			l.wantNew("api starting")
		}
		l.stop()
		if most != 1 || calls != 4 || running != 0 {
			t.Errorf("%d calls of Ready, %d at once, %d left; want 4, 1, 0", calls, most, running)
		}
	}, api)
}

// What the group knows of a server, for status and metrics.
func TestWhatIsKept(t *testing.T) {
	api := restarting(RestartOnFailure, "api")
	api.Address = func() string { return "127.0.0.1:1" }
	inBubble(t, func(l *lifeTest) {
		begin := time.Now()
		time.Sleep(3 * time.Second)
		becomeReady(api)
		time.Sleep(time.Minute)
		api.end <- errors.New("boom")
		e := l.backedOff(api)
		a := api.actor
		l.g.mu.Lock()
		if a.starts != 1 || a.pause != e.Wait || a.err == nil || a.lastErr != a.err || !a.lastErrAt.Equal(e.Time) {
			t.Errorf("in Backoff: %+v", a)
		}
		l.g.mu.Unlock()
		time.Sleep(e.Wait)
		synctest.Wait()
		restart := time.Now()
		time.Sleep(5 * time.Second)
		becomeReady(api)
		l.g.mu.Lock()
		if a.starts != 2 || a.err != nil || fmt.Sprint(a.lastErr) != "boom" || !a.start.Equal(restart) || a.took != 5*time.Second {
			t.Errorf("ready again: %+v", a)
		}
		l.g.mu.Unlock()
		firstReady := begin.Add(3 * time.Second)
		if s := a.Status(); !s.FirstStarted.Equal(begin) || !s.FirstReady.Equal(firstReady) || !l.g.ReadySince().Equal(firstReady) {
			t.Errorf("first start %v, ready %v, all %v; want %v, %v", s.FirstStarted, s.FirstReady, l.g.ReadySince(), begin, firstReady)
		}
		fresh := l.g.Events(0)
		var addresses []string
		for _, e := range fresh {
			addresses = append(addresses, e.Address)
		}
		if diff := cmp.Diff(strings.Split(",127.0.0.1:1,,,127.0.0.1:1", ","), addresses); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
		l.stop()
	}, api)
}

func TestRestartPolicyFlag(t *testing.T) {
	var p RestartPolicy
	if p.String() != "on-failure" || p.Type() != "policy" {
		t.Errorf("the default is %s, its type %s", p.String(), p.Type())
	}
	for _, policy := range []RestartPolicy{RestartNever, RestartOnFailure, RestartAlways} {
		if err := p.Set(string(policy)); err != nil || p != policy {
			t.Errorf("%s: %v, %v", policy, p, err)
		}
	}
	if err := p.Set("unless-stopped"); err == nil || err.Error() != "unknown restart policy: use never, on-failure or always" || p != RestartAlways {
		t.Errorf("%v, %v", p, err)
	}
}

// A server that has never been ready fails for good with the fifth failure, however long each start takes. Once it has
// been ready the minute counts.
func TestSlowFailures(t *testing.T) {
	for _, way := range ways {
		if way.ready {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			api := restarting(RestartOnFailure, "api")
			inBubble(t, func(l *lifeTest) {
				for range 4 {
					time.Sleep(20 * time.Second)
					way.fail(api)
					time.Sleep(l.backedOff(api).Wait)
					l.wantNew("api starting")
				}
				time.Sleep(20 * time.Second)
				way.fail(api)
				if err := l.end(); err == nil || err.Error() != "api failed: "+way.want+" (it has failed 5 times without having been ready)" {
					t.Errorf("error %v", err)
				}
			}, api)
			inBubble(t, func(l *lifeTest) {
				becomeReady(api)
				api.end <- errors.New("boom")
				for range 20 {
					time.Sleep(l.backedOff(api).Wait)
					time.Sleep(20 * time.Second)
					l.wantNew("api starting")
					way.fail(api)
				}
				l.backedOff(api)
				l.stop()
			}, api)
		})
	}
}

// Who asks for a start begins anew: what it was ready for before does not count.
func TestSlowFailuresByRequest(t *testing.T) {
	db, api := newPart("db"), restarting(RestartOnFailure, "api", "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		l.fresh()
		l.ask(Restart, api)
		for range 4 {
			time.Sleep(time.Minute)
			api.ready <- errors.New("boom")
			time.Sleep(l.backedOff(api).Wait)
		}
		time.Sleep(time.Minute)
		api.ready <- errors.New("boom")
		err := l.end()
		wantFailure(t, err)
		contains(t, fmt.Sprint(err), "it has failed 5 times without having been ready")
	}, db, api)
}

// A start that takes long is told of, again and again, with what has been tried: on the screen and in the status.
func TestSlowStartIsTold(t *testing.T) {
	api := restarting(RestartOnFailure, "api")
	inBubble(t, func(l *lifeTest) {
		time.Sleep(quietStart - 1)
		if said := api.said(); said != "" {
			t.Errorf("too early: %s", said)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		contains(t, api.said(), ` W api   is still starting for=15s try=1`)
		time.Sleep(slowStart)
		synctest.Wait()
		contains(t, api.said(), ` W api   is still starting for=1m15s try=1`)
		api.end <- errors.New("boom")
		time.Sleep(l.backedOff(api).Wait)
		time.Sleep(quietStart)
		synctest.Wait()
		contains(t, api.said(), `is still starting for=15s try=2 "failed before"=boom`)
		if s := api.actor.Status(); s.State != Starting || s.Starts != 2 || fmt.Sprint(s.LastErr) != "boom" {
			t.Errorf("the status says %+v", s)
		}
		becomeReady(api)
		before := api.said()
		time.Sleep(time.Hour)
		if after := api.said(); after != before {
			t.Errorf("it is told when it is ready: %s", after[len(before):])
		}
		l.stop()
	}, api)
}
