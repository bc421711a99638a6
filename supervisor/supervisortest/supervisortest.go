// Package supervisortest is for tests of servers that are run by package supervisor: it starts a selection of them,
// waits for states, makes servers fail, and stops them at the end of the test. With Bubble the clock is fake, so that
// pauses, grace periods and time-outs cost no time.
package supervisortest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/supervisor/internal/bare"
)

// patience is how long a Run waits for anything before the test fails. It is no expectation of speed, as a busy machine
// is slow. In a bubble, where time costs none, it is a year.
const patience, bubblePatience = 2 * time.Minute, 365 * 24 * time.Hour

// Run is a run of servers in a test. Its methods are for the test's goroutine.
type Run struct {
	*supervisor.Running
	t        testing.TB
	patience time.Duration
	stopped  bool // the test has seen how it ends
}

// Start runs servers as `run` with these arguments does (HyperKube.Start), in a data folder of the test's, and returns
// when all of them are ready. They are stopped at the end of the test, which fails if one has failed for good and the
// test has not called Stop. If the test fails, its log has what was shown.
func Start(t testing.TB, hk *supervisor.HyperKube, args ...string) *Run {
	t.Helper()
	return start(t, t.Context(), hk, args, patience)
}

// Bubble calls test in a bubble of testing/synctest, with a run as that of Start, and ends it. There is only an empty
// data folder, no log file and no admin API, as these would keep the bubble awake; so do servers that wait for the
// network. Channels that servers and test share are to be made in the bubble: build makes the servers there.
func Bubble(t *testing.T, build func() *supervisor.HyperKube, test func(t *testing.T, r *Run), args ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, bare.Context(t.Context()), build(), args, bubblePatience)
		test(t, r)
		r.end()
		time.Sleep(24 * time.Hour) // until what was left behind has ended, as the bubble is to be empty
	})
}

func start(t testing.TB, ctx context.Context, hk *supervisor.HyperKube, args []string, patience time.Duration) *Run {
	t.Helper()
	shown := &shownText{}
	hk.SetOut(shown)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what %s has shown:\n%s", hk.Name, shown)
		}
	})
	// The context of a test ends before its cleanups are called.
	running, err := hk.Start(context.WithoutCancel(ctx), append(slices.Clone(args), "--data-dir="+t.TempDir())...)
	if err != nil {
		t.Fatalf("%s has not started: %v", hk.Name, err)
	}
	r := &Run{Running: running, t: t, patience: patience}
	t.Cleanup(r.end)
	return r
}

// end ends the run with the test.
func (r *Run) end() {
	r.t.Helper()
	if err := r.Running.Stop(); err != nil && !r.stopped && !r.t.Failed() {
		r.t.Errorf("the run has ended with: %v", err)
	}
}

// Stop stops the servers in order, and returns when they have ended. The error is that of a server that has failed for
// good, if there is one; the end of the test does not mind it then.
func (r *Run) Stop() error {
	r.stopped = true
	return r.Running.Stop()
}

// Await waits until the server is in the state.
func (r *Run) Await(server string, state supervisor.State) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	if err := r.Running.Await(ctx, server, state); err != nil {
		r.t.Fatalf("%v; its states so far: %v", err, r.States(server))
	}
}

// States are the states that the server has come into so far, in order.
func (r *Run) States(server string) (states []supervisor.State) {
	r.t.Helper()
	for _, e := range r.Running.EventsSoFar() {
		if e.Server == server && e.From != e.To {
			states = append(states, e.To)
		}
	}
	return states
}

// Fail makes the server, which runs, fail, as if its Run had returned err, and waits until it is in Backoff, or in
// Failed if it is not started again.
func (r *Run) Fail(server string, err error) {
	r.t.Helper()
	s := r.Plan().Server(server)
	if s == nil {
		r.t.Fatalf("%s is not run", server)
	}
	states := r.States(server)
	before := len(states)
	if last := states[max(0, before-1):]; len(last) == 0 || last[0] != supervisor.Starting && last[0] != supervisor.Ready {
		r.t.Fatalf("%s does not run, and cannot fail; its states so far: %v", server, states)
	}
	s.Fail(err)
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	failed := false
	r.Events(ctx, 0, func(supervisor.Event) {
		for _, state := range r.States(server)[before:] {
			failed = failed || state == supervisor.Backoff || state == supervisor.Failed
		}
		if failed {
			cancel()
		}
	})
	if !failed {
		r.t.Fatalf("%s has not failed; its states so far: %v", server, r.States(server))
	}
}

// steered fails the test with an error of what was asked for.
func (r *Run) steered(what string, servers []string, f func(context.Context, ...string) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	if err := f(ctx, servers...); err != nil {
		r.t.Fatalf("%s %v: %v", what, servers, err)
	}
}

// StartServers starts servers, and those that they need, and waits until they are ready.
func (r *Run) StartServers(servers ...string) {
	r.t.Helper()
	r.steered("start", servers, r.Running.StartServers)
}

// StopServers stops servers, and first those that need them, and waits until they have ended.
func (r *Run) StopServers(servers ...string) {
	r.t.Helper()
	r.steered("stop", servers, r.Running.StopServers)
}

// RestartServers stops servers, starts them again, and waits until they are ready.
func (r *Run) RestartServers(servers ...string) {
	r.t.Helper()
	r.steered("restart", servers, r.Running.RestartServers)
}

// Address is where a server listens, as it is shown to people.
func (r *Run) Address(server string) string {
	r.t.Helper()
	address := ""
	for _, e := range r.Running.EventsSoFar() {
		if e.Server == server && e.To == supervisor.Ready {
			address = e.Address
		}
	}
	if address == "" {
		r.t.Fatalf("%s has not been ready, or has no address", server)
	}
	return address
}

// shownText is what is shown, by several goroutines.
type shownText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shownText) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *shownText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(&s.text)
}
