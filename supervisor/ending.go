package supervisor

// Ending returns what is closed when the server is to end: then those that need it end first, and its context, which says that it is its
// turn, ends after them. It is for Build, Run and Ready, for what can make the end of the others easier, and is another one with each
// start. Outside of a run, and in a process of its own, nothing tells of the end but the context.
func (s *Server) Ending() <-chan struct{} {
	a := s.actor.Load()
	if a == nil {
		return nil
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	return a.toEnd.told
}

// ending is what is closed when a server is to end.
type ending struct {
	told   chan struct{}
	closed bool
}

func (e *ending) tell() {
	if e.told != nil && !e.closed {
		close(e.told)
		e.closed = true
	}
}

// renewEnding begins an attempt whose end nobody has told of yet.
func (a *actor) renewEnding() {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.toEnd = ending{told: make(chan struct{})}
}
