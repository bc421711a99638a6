package supervisor

import "github.com/seed-200a7251/km/logging"

// showReady has the lines of a server shown that becomes ready. The first time they wait until all servers have been ready: what heals
// by itself while the others start is no news. The lock is held.
func (a *actor) showReady() {
	if !a.first.ready.IsZero() {
		a.log().SetPhase(logging.Running)
		return
	}
	for _, other := range a.group.actors {
		if other != a && other.first.ready.IsZero() {
			a.log().SetPhase(logging.Started)
			return
		}
	}
	for _, other := range a.group.actors {
		if other == a || other.state == Ready {
			other.log().SetPhase(logging.Running)
		}
	}
}
