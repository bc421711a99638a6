package supervisor

// Ending returns what is closed when the server is to end, and before its context ends. Where somebody wants it to end,
// those that need it end in between, and what it does then can make that easier; when it fails, and in a process of its
// own, the context ends at once. It is for Build, Run and Ready, and another one with each start; nil outside of a run.
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

// tellEnding tells, before the context ends, that this is about to happen, if nobody has.
func (a *actor) tellEnding() {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.toEnd.tell()
}

// renewEnding begins an attempt whose end nobody has told of yet.
func (a *actor) renewEnding() {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	a.toEnd = ending{told: make(chan struct{})}
}
