package supervisor

import (
	"fmt"
	"slices"
)

// State is where a server is in its life.
type State int

// The states of a server, in the order in which it passes through them. The package comment draws how.
const (
	Waiting  State = iota // for the servers that it needs
	Starting              // Run has been called; Ready has not returned
	Ready                 // it can be used
	Stopping              // its context has ended; Run has not returned
	Stopped               // it has ended as it was asked to, or was done
	Failed                // it has ended, or was left behind, with an error
)

var stateNames = [...]string{"waiting", "starting", "ready", "stopping", "stopped", "failed"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// Ended reports whether the server does no more.
func (s State) Ended() bool { return s == Stopped || s == Failed }

// next are the states that may follow a state.
var next = map[State][]State{
	Waiting:  {Starting, Stopped},
	Starting: {Ready, Stopping, Failed},
	Ready:    {Stopping, Stopped, Failed},
	Stopping: {Stopped, Failed},
}

// follows reports whether a server may go from one state to the other.
func follows(from, to State) bool { return slices.Contains(next[from], to) }
