package life

// Lost is an error if something that the server keeps is gone: then it must not report anything as done. It costs one
// stat for each path. It is nil before the server is ready.
func (a *Actor) Lost() error {
	if lost := a.kept.Load().Lost(); lost != nil {
		return lost
	}
	return nil
}

// Lose ends the group, since something is gone without which it must not go on; err says what. If servers may have lost
// what they keep, these are stopped first, and wait for nobody.
func (g *Group) Lose(err error, kept bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost == nil {
		g.lost, g.lostKept = err, kept
	}
	g.close()
}

// HasLost reports whether Lose was called.
func (g *Group) HasLost() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost != nil
}

// look checks that all that the server keeps is there, before it may start again: otherwise it would begin anew.
func (a *Actor) look() {
	if a.kept.Load() != nil && a.group.Look != nil {
		a.group.Look()
	}
}

// lost looks, and returns why the group ends, if that is because of what servers keep and this one keeps something.
func (a *Actor) lost() error {
	a.look()
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if !a.group.lostKept || a.s.Keeps == nil {
		return nil
	}
	return a.group.lost
}
