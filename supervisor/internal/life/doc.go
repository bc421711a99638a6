// Package life runs servers as one group: each starts when those that it needs are ready, is started again when it has
// failed, and stops when those that need it have stopped. It knows no flags, no folder and no commands; package
// supervisor has these.
//
//	db := life.Server{Name: "db", Run: runDB}
//	api := life.Server{Name: "api", Needs: []string{"db"}, Run: runAPI}
//	err := life.NewGroup(db, api).Run(signals)
//
// A [Group] is an oklog/run group with an [Actor] for each server (group.go). Each change of a server's state is an
// [Event] (event.go), which any number of readers read. What somebody asks of servers while they run is a [Request]
// (request.go): it is noted, and the actor acts on it.
//
// # A server's life
//
//	          needs ready            Ready returns           stop asked            Run returns
//	Waiting ──────────────▶ Starting ─────────────▶ Ready ─────────────▶ Stopping ─────────────▶ Stopped
//	   ▲                     ▲ │ │                   │ │                     │
//	   │          pause over │ │ │ fails       fails │ │                     │ overstays
//	   │                     │ │ │ for good for good │ │                     ▼
//	   │ pause over,         │ │ └──────▶ Failed ◀───┘ │                   Failed
//	   │ needs not ready     │ ▼ fails                 │ fails
//	   └──────────────────── Backoff ◀─────────────────┘
//
// Besides: a stop leads from Starting to Stopping, and to Stopped from Backoff at once, and from Waiting when Build has
// returned. One that comes while a server that would start again ends, as it has failed, leads to Stopped, too. A Run
// that returns nil by itself leads from Ready to Stopped: the server is done. A start leads from Stopped and Failed to
// Waiting. [Actor.to] is the one place where a state changes.
//
// A server starts when all servers that it needs are ready, or done, at once, not in a line of turns. While it is
// Waiting, its Build makes what takes none of them. When a start has ended, what it has opened is released, also if Run
// was never called (Server.Release).
//
// When a signal comes, or one server has failed for good, all are asked to stop; each waits until those that need it
// have ended (meanwhile [Actor.Ending] tells it that), then its context ends, and it has its grace period to return.
// One that overstays is reported, with the stacks of its goroutines in its log, and left behind: it is Failed, and does
// not start again before its Run and Ready have returned after all.
//
// One that has failed starts again after a pause, by its [RestartPolicy] and [Limits] (restart.go). It has failed for
// good when it has failed too often, if it may not start again, if it cannot (Server.StartsOnce), or if it says that
// this is pointless ([Permanent]). With Group.KeepGoing that is no reason for the others to stop: the group ends when
// all have ended, or wait in vain for one that has.
//
// Those that need a server go on while it starts again, also in the pause: they are expected to connect again. What is
// to start meanwhile waits for it. Their lines are left out of the screen until it is back (mute.go).
//
// A stop by request stops those that need the server first; a start starts what it needs first; a restart leaves the
// others alone, and of two that are restarted together the one that needs the other ends first and starts last. What
// had failed before a request does not count any more. That a server was stopped so, or has failed by a stop, does not
// end the group; nor does it if one that may fail alone (Server.FailsAlone) has not become ready.
//
// What keeps a start from going on, and people can remove, is told by [Actor.Hindered], and what a server lacks that is
// ready all the same by [Actor.Degraded] (condition.go). What a server keeps, and is gone, ends the group, those first
// that keep something (lost.go).
package life
