package supervisor

import (
	"testing"

	startup "github.com/seed-200a7251/km/supervisor/internal/timeline"
)

// The states in which a first start goes on, or has succeeded, are called as the timeline knows them.
func TestStartOfKnowsStates(t *testing.T) {
	for state, want := range map[State]startup.State{
		Waiting: startup.Waiting, Starting: startup.Starting, Ready: startup.Ready, Backoff: startup.Backoff, Failed: "failed",
	} {
		run := startOf(&Status{Servers: []ServerStatus{{Name: "db", State: state}}})
		if got := run.Servers[0].State; got != want {
			t.Errorf("%v becomes %s, want %s", state, got, want)
		}
	}
}
