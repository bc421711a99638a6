package life

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// builder is a part with a Build that takes some of the bubble's time, and notes what is called.
type builder struct {
	*part
	takes  time.Duration
	result error

	mu    sync.Mutex
	calls []string
}

func newBuilder(name string, takes time.Duration, needs ...string) *builder {
	b := &builder{part: newPart(name, needs...), takes: takes}
	b.Build = func(ctx context.Context) error {
		b.note("build")
		defer func() { b.note(fmt.Sprintf("built, stopped=%v", ctx.Err() != nil)) }()
		time.Sleep(b.takes)
		return b.result
	}
	run := b.Run
	b.Run = func(ctx context.Context) error {
		b.note("run")
		return run(ctx)
	}
	return b
}

func (b *builder) note(call string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
}

func (b *builder) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if fmt.Sprint(b.calls) != fmt.Sprint(want) {
		t.Errorf("called: %q, want %q", b.calls, want)
	}
}

// Build is called while the needed server starts, and Run when both are over, whatever lasts longer.
func TestBuildsWhileItWaits(t *testing.T) {
	db, api := newPart("db"), newBuilder("api", time.Second, "db")
	inBubble(t, func(l *lifeTest) {
		api.want(t, "build")
		time.Sleep(2 * time.Second)
		api.want(t, "build", "built, stopped=false")
		l.want("db starting")
		becomeReady(db)
		api.want(t, "build", "built, stopped=false", "run")
		l.stop()
	}, db, api.part)

	db, api = newPart("db"), newBuilder("api", time.Second, "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		l.want("db starting", "db ready", "api starting")
		api.want(t, "build")
		time.Sleep(2 * time.Second)
		api.want(t, "build", "built, stopped=false", "run")
		l.stop()
	}, db, api.part)
}

// An error of Build is a failure of the server, when its turn comes.
func TestBuildFails(t *testing.T) {
	db, api := newPart("db"), newBuilder("api", time.Second, "db")
	api.result = errors.New("no way")
	inBubble(t, func(l *lifeTest) {
		time.Sleep(2 * time.Second)
		l.want("db starting")
		becomeReady(db)
		err := l.end()
		wantFailure(t, err)
		contains(t, fmt.Sprint(err), "api failed: no way")
		api.want(t, "build", "built, stopped=false")
	}, db, api.part)
}

// A server that is built for nothing has not ended before Build has.
func TestStopWhileBuilding(t *testing.T) {
	db, api := newPart("db"), newBuilder("api", 5*time.Second, "db")
	inBubble(t, func(l *lifeTest) {
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		l.want("db starting")
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.want("db starting", "api stopped", "db stopping", "db stopped")
		api.want(t, "build", "built, stopped=true")
	}, db, api.part)
}

// Nor is Run called if the stop comes when the needed server is ready.
func TestStopWhileBuildingLate(t *testing.T) {
	db, api := newPart("db"), newBuilder("api", 5*time.Second, "db")
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		l.stop()
		l.wantOf(api.part, "starting", "stopping", "stopped")
		api.want(t, "build", "built, stopped=true")
	}, db, api.part)
}

// One that overstays is left behind, and does not start again before Build has returned.
func TestBuildOverstays(t *testing.T) {
	db, api := newPart("db"), newBuilder("api", 2*time.Hour, "db")
	inBubble(t, func(l *lifeTest) {
		r := l.ask(Stop, api.part)
		time.Sleep(DefaultGracePeriod)
		r.want("api failed: it did not stop within 10s and is left behind; be patient")
		l.want("db starting", "api stopped")
		contains(t, api.said(), "did not stop in its grace period")
		l.wantRefused("api was left behind when it did not stop, and still runs: end it", Start, api.part)
		time.Sleep(2 * time.Hour)
		l.ask(Start, api.part)
		api.want(t, "build", "built, stopped=true", "build")
		l.signals <- syscall.SIGTERM
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, db, api.part)
}

// Each start has its own.
func TestBuildsForEachStart(t *testing.T) {
	api := newBuilder("api", time.Second)
	api.Restart = RestartOnFailure
	inBubble(t, func(l *lifeTest) {
		time.Sleep(2 * time.Second)
		becomeReady(api.part)
		api.end <- errors.New("disk full")
		time.Sleep(5 * time.Second)
		api.want(t, "build", "built, stopped=false", "run", "build", "built, stopped=false", "run")
		l.stop()
	}, api.part)
}
