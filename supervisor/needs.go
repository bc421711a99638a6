package supervisor

// needsReady reports whether the server may start. The lock is held.
func (a *actor) needsReady() bool {
	for _, needed := range a.needs {
		if !needed.meets() {
			return false
		}
	}
	return true
}

// meets reports whether those that need this server may start: it is ready, and stays so, or it is done. Otherwise it
// would depend on who is faster whether they start at all beside one that is done at once. The lock is held.
func (a *actor) meets() bool {
	switch a.state {
	case Ready:
		return !a.ending()
	case Stopped:
		return a.done && a.ask == askNothing
	}
	return false
}

// blocker is the server that has ended and for which this one waits in vain, or for which one waits for which this one
// waits; nil if there is none. The lock is held.
func (a *actor) blocker() *actor {
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
