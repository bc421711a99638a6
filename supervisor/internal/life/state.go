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

func (st State) String() string {
	if st < 0 || int(st) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(st))
	}
	return stateNames[st]
}

// MarshalText writes the state's name.
func (st State) MarshalText() ([]byte, error) { return []byte(st.String()), nil }

// UnmarshalText reads a state's name.
func (st *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown state %q", text)
	}
	*st = State(i)
	return nil
}

// Ended reports whether the server does nothing any more, unless it is asked to start.
func (st State) Ended() bool { return st == Stopped || st == Failed }

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
