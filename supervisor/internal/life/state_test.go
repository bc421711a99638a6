package life

import (
	"slices"
	"testing"
)

// The drawing in the package comment is what this table says.
func TestFollows(t *testing.T) {
	may := map[State][]State{
		Waiting:  {Starting, Stopped},
		Starting: {Ready, Stopping, Stopped, Backoff, Failed},
		Ready:    {Stopping, Stopped, Backoff, Failed},
		Stopping: {Stopped, Failed},
		Stopped:  {Waiting},
		Backoff:  {Starting, Waiting, Stopped},
		Failed:   {Waiting},
	}
	for from := Waiting; from <= Failed; from++ {
		for to := Waiting; to <= Failed; to++ {
			if got, want := follows(from, to), slices.Contains(may[from], to); got != want {
				t.Errorf("follows(%v, %v) is %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestStateNames(t *testing.T) {
	for state, want := range map[State]string{
		Waiting: "waiting", Starting: "starting", Ready: "ready", Stopping: "stopping", Stopped: "stopped", Backoff: "backoff", Failed: "failed",
		State(-1): "State(-1)", Failed + 1: "State(7)",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is called %q, want %q", int(state), got, want)
		}
		if got, want := state.Ended(), state == Stopped || state == Failed; got != want {
			t.Errorf("%v has ended: %v, want %v", state, got, want)
		}
	}
}

// A change that the drawing does not have is a mistake in this package, and not to be published.
func TestWrongTransitionPanics(t *testing.T) {
	g := NewGroup(Server{Name: "test1", Run: done})
	contains(t, panics(func() { g.actors[0].to(Ready, nil, 0) }), "server test1 cannot go from waiting to ready")
	if fresh := g.Events(0); len(fresh) > 0 {
		t.Errorf("there is an event: %v", fresh)
	}
}
