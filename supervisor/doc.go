// Package supervisor builds one binary out of many servers.
//
// A [HyperKube] holds [Server]s. Its binary can be one of them, with nothing around it:
//
//	hk scheduler --config=...     or through a soft link named scheduler
//
// and it can run several in one process, each in goroutines of its own:
//
//	hk run apiserver,scheduler --apiserver.port=8080
//
// The package knows nothing of what the servers do. It is what remains of Kubernetes' hyperkube when Kubernetes is
// taken out, and what hyperkube's package comment promised for later: running many servers in one process, with their
// flags harmonized and their log lines told apart.
//
// # The way through the package
//
// Data goes one way. What the user gives, in files, in the environment and in arguments, becomes assignments to flags
// (sources.go, config.go, arguments.go) and these a [Plan] (plan.go, selection.go, flags.go); all that is wrong is
// collected on the way (problems.go) and told at once. printconfig.go shows what was given, helpflag.go, completion.go
// and schema.go what could be; what users are told to type is made in hint.go. The plan's servers become actors of an
// oklog/run group (group.go), each of which runs one server again and again (actor.go); the actors tell of each change
// with an [Event] (event.go); console.go reads those and shows them, logs.go writes them to the log, notify.go tells
// them to systemd, and admin.go passes them on. What servers log is the business of package logging; logs.go says where
// it goes, and logscommand.go reads it.
//
// A run is looked at and steered over a socket in its data folder: admin.go is that API, client.go its client, and
// status, start, stop, restart, log-level, top, profile and analyze are the commands (statuscommand.go,
// steercommands.go …). What somebody asks of a server is noted in steer.go; the server's actor acts on it.
//
// A server with [IsolationProcess] is a child process of the same binary (isolation.go is the parent's side,
// isolated.go the child's). How a run has ended that was not stopped is told by the next one (crash.go).
//
// A command that is run with the servers, `run -- COMMAND`, is one more actor of the group, whose end stops the others
// (job.go). What a killed process leaves behind, its folder or a command, is removed by a second one (package sweep).
// When all servers are ready, the process keeps less memory (memory.go) and wakes less often (idle.go). It stays below
// the memory limit of its cgroup (memorylimit.go), and what was killed for its memory is told of (outofmemory.go).
// Whose the data folder must be is in owner.go. Programs that are no command line, such as tests, have the same run by
// [HyperKube.Start].
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
// Waiting.
//
// A server starts when all servers that it needs are ready, or done, at once, not in a line of turns. While it is
// Waiting, its Build makes what takes none of them. When a start has ended, what it has opened is released, also if Run
// was never called (Server.Cleanup).
//
// When a signal comes, or one server has failed for good, all are asked to stop; each waits until those that need it
// have ended (meanwhile Server.Ending tells it that), then its context ends, and it has its grace period to return. One
// that overstays is reported, with the stacks of its goroutines in its log, and left behind: it is Failed, and does not
// start again before its Run and Ready have returned after all.
//
// One that has failed starts again after a pause, by its [RestartPolicy] (restart.go). The pause is 200 ms, twice as
// long with each further failure within a minute, and by chance up to a fifth shorter or longer. It has failed for good
// with the fifth failure within a minute, or with the fifth at all if it has never been ready, if it may not start
// again, if it cannot (Server.StartsOnce), or if it says that this is pointless ([Permanent]). With --keep-going that
// is no reason for the others to stop: the group ends when all have ended, or wait in vain for one that has.
//
// Those that need a server go on while it starts again, also in the pause: they are expected to connect again. What is
// to start meanwhile waits for it.
//
// Servers can be stopped, started and restarted by request (steer.go). A stop stops those that need the server first; a
// start starts what it needs first; a restart leaves the others alone, and of two that are restarted together the one
// that needs the other ends first and starts last. What is to start anew is checked before (Server.Check): if that
// refuses, it is left as it is. What had failed before a request does not count any more. That a server was stopped so,
// or has failed by a stop, does not end the group; nor does it if one that may fail alone (Server.FailsAlone) has not
// become ready.
//
// The first signal stops all in order, and a second one ends the process at once. What comes within a second is a copy
// (stops.go).
//
// What keeps a start from going on, and people can remove, is told by Server.Hindered, and what a server lacks that is
// ready all the same by Server.Degraded.
//
// A run fails whose data folder is gone, or something of what a server keeps in it or elsewhere (Server.Keeps): all are
// stopped, those that keep something first, and nothing is written any more where the folder was (lost.go, kept.go).
//
// A panic in the goroutine in which Run was called is that server's failure. A panic in another goroutine ends the
// process, as it does in every Go program.
package supervisor
