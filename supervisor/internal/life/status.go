package life

import "time"

// Status is what is known of a server at a moment.
type Status struct {
	State State
	Since time.Time
	// Err is why it is in Backoff or Failed, or Stopped instead of started again, what hinders its start in Starting,
	// or what it lacks in Ready; and NextStart is when it is started again, in Backoff.
	Err       error
	NextStart time.Time
	// Starts is how often it was started. LastErr is why it has failed the last time, if it ever has, and LastErrAt
	// when.
	Starts    int
	LastErr   error
	LastErrAt time.Time
	// Address is where it listens, in Ready.
	Address string
	// FirstStarted and FirstReady are when its first start began and succeeded, and Took is how long the last one took
	// that has succeeded. They are zero before.
	FirstStarted, FirstReady time.Time
	Took                     time.Duration
	// StartsOnce says that it cannot be started again.
	StartsOnce bool
}

// Status is what is known of the server now.
func (a *Actor) Status() Status {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	s := Status{
		State: a.state, Since: a.since, Err: a.err, Starts: a.starts, LastErr: a.lastErr, LastErrAt: a.lastErrAt,
		FirstStarted: a.first.started, FirstReady: a.first.ready, Took: a.took,
	}
	switch a.state {
	case Ready:
		s.Address = a.address
	case Backoff:
		s.NextStart = a.since.Add(a.pause)
	}
	if a.s.StartsOnce != nil {
		s.StartsOnce = a.s.StartsOnce()
	}
	return s
}

// Needs are the names of those servers of the group that the server needs.
func (a *Actor) Needs() (names []string) {
	for _, needed := range a.needs {
		names = append(names, needed.s.Name)
	}
	return names
}

// RestartPolicy is the one that counts for the server.
func (a *Actor) RestartPolicy() RestartPolicy { return a.s.Restart.policy() }
