package life

import "github.com/seed-200a7251/km/logging"

// The screen leaves out a server's lines while a server that it needs is away, and while all are being stopped: it
// complains again and again of what everybody is told once. The files have them. All functions below are called under
// the group's lock.

// setAway notes whether a direct or indirect need of the server is not ready, and passes that on to those that need it.
func (a *Actor) setAway() {
	away := false
	for _, needed := range a.needs {
		away = away || needed.away || needed.state != Ready
	}
	if away == a.away {
		return
	}
	a.away = away
	a.mute()
	a.tellAway()
}

// tellAway calls setAway of those that need the server, which has become ready, or is not ready any more.
func (a *Actor) tellAway() {
	for _, needing := range a.neededBy {
		needing.setAway()
	}
}

// mute sets the phase of a ready server, if that has to change. In other states the phase follows from the state.
func (a *Actor) mute() {
	muted := a.away || a.group.closing
	if a.state != Ready || muted == a.muted {
		return
	}
	if a.muted = muted; muted {
		a.s.Log.SetPhase(logging.Ending)
	} else {
		a.s.Log.SetPhase(logging.Running)
	}
}

// showReady has the lines of a server that becomes ready shown. The first time they wait until all servers have been
// ready: what heals by itself while the others start is no news. Without Ready no start can fail, and all is shown.
func (a *Actor) showReady() {
	again := !a.first.ready.IsZero()
	all := again || a.group.unready == 1 // this one
	if again || all || a.s.Ready == nil {
		a.s.Log.SetPhase(logging.Running)
	} else {
		a.s.Log.SetPhase(logging.Started)
	}
	a.muted = false
	if again || !all {
		return
	}
	for _, other := range a.group.actors {
		other.s.Log.Advance(logging.Started, logging.Running) // muted ones stay so
	}
}
