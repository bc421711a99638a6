package supervisor

import (
	"slices"

	"github.com/seed-200a7251/km/logging"
)

// showReady has the lines of a server shown that becomes ready. The first time they wait until all servers have been
// ready: what heals by itself while the others start is no news. Without Ready there is no start that could fail, and
// all is shown. The lock is held.
func (a *actor) showReady() {
	again := !a.first.ready.IsZero()
	// Whether the others have been ready, too. In a large group one of the first ones tells that they have not.
	all := !slices.ContainsFunc(a.group.actors, func(other *actor) bool { return other != a && other.first.ready.IsZero() })
	if again || all || a.s.Ready == nil {
		a.log().SetPhase(logging.Running)
	} else {
		a.log().SetPhase(logging.Started)
	}
	if again || !all {
		return
	}
	for _, other := range a.group.actors {
		other.log().Advance(logging.Started, logging.Running) // one that lacks what it needs stays quiet
	}
}
