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
// The package knows nothing of what the servers do. It is what remains of Kubernetes' hyperkube when Kubernetes is taken
// out, and what hyperkube's package comment promised for later: running many servers in one process, with their flags
// harmonized and their log lines told apart.
//
// # The way through the package
//
// Data goes one way. Arguments become a [Plan] (plan.go, flags.go); the plan's servers become actors of an oklog/run
// group (group.go); the actors tell of each change with an [Event] (event.go); console.go reads those and shows them, and
// logs.go writes them to the log. What servers log is the business of package logging; logs.go says where it goes, and
// logscommand.go reads it.
//
// # A server's life
//
//	          needs ready          Ready returns              stop asked
//	Waiting ──────────────▶ Starting ───────────▶ Ready ──────────────────▶ Stopping ──▶ Stopped
//	   │                       │                   │  │                         │
//	   │ stop asked            │ fails             │  │ Run returns nil         │ overstays
//	   ▼                       ▼                   │  ▼                         ▼
//	Stopped                  Failed ◀── fails ─────┘ Stopped                  Failed
//
// (Starting may also be stopped.) A server starts when all servers that it needs are ready, at once, not in a line of
// turns. When a signal comes, or one server has failed, all are asked to stop; each waits until those that need it have
// ended, then its context ends, and it has its grace period to return. One that overstays is reported, with the stacks of its
// goroutines in its log, and left behind.
//
// A panic in the goroutine in which Run was called is that server's failure. A panic in another goroutine ends the process, as
// it does in every Go program.
package supervisor
