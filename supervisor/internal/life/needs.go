package life

// needsReady reports whether the server may start. The lock is held.
func (a *Actor) needsReady() bool {
	for _, needed := range a.needs {
		if !needed.meets() {
			return false
		}
	}
	return true
}

// meets reports whether those that need this server may start: it is ready, and stays so, or it is done. If done did
// not count, a race would decide whether they start beside a server that is done at once. The lock is held.
func (a *Actor) meets() bool {
	switch a.state {
	case Ready:
		return !a.ending()
	case Stopped:
		return a.done && a.ask == nothing
	}
	return false
}

// blocker returns the stopped or failed server, among all direct and indirect needs, that keeps this one Waiting; nil
// if there is none. The lock is held.
func (a *Actor) blocker() *Actor {
	if a.state != Waiting {
		return nil
	}
	for _, needed := range a.needs {
		if needed.state.Ended() && !needed.meets() && !needed.startAsked() {
			return needed
		}
		if blocker := needed.blocker(); blocker != nil {
			return blocker
		}
	}
	return nil
}
