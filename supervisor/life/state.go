package life

import (
	"fmt"
	"slices"
)

// State is where a server is in its life.
type State int

// The states of a server. The package comment draws how they follow each other.
const (
	Waiting  State = iota // for the servers that it needs
	Starting              // Run has been called; Ready has not returned
	Ready                 // it can be used
	Stopping              // its context has ended; Run has not returned
	Stopped               // it has ended as it was asked to, or was done
	Backoff               // it has failed, and is started again in a moment
	Failed                // it has failed, and is not started again by itself
)

var stateNames = [...]string{"waiting", "starting", "ready", "stopping", "stopped", "backoff", "failed"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown state %q", text)
	}
	*s = State(i)
	return nil
}

// Ended reports whether the server does no more, unless it is asked to start.
func (s State) Ended() bool { return s == Stopped || s == Failed }

// next are the states that may follow a state.
var next = map[State][]State{
	Waiting:  {Starting, Stopped},
	Starting: {Ready, Stopping, Stopped, Backoff, Failed},
	Ready:    {Stopping, Stopped, Backoff, Failed},
	Stopping: {Stopped, Failed},
	Backoff:  {Starting, Waiting, Stopped},
	Stopped:  {Waiting},
	Failed:   {Waiting},
}

// follows reports whether a server may go from one state to the other.
func follows(from, to State) bool { return slices.Contains(next[from], to) }
