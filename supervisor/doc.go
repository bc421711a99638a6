// Package supervisor builds one binary out of many servers.
//
// A [HyperKube] holds [Server]s. Its binary can be one of them, with nothing around it:
//
//	hk scheduler --config=...     or through a symlink named scheduler
//
// and it can run several in one process, each in goroutines of its own:
//
//	hk run apiserver,scheduler --apiserver.port=8080
//
// The package knows nothing of what the servers do. It is what remains of Kubernetes' hyperkube when Kubernetes is
// taken out, and what hyperkube's package comment promised for later: running many servers in one process, with their
// flags harmonized and their log lines told apart.
//
// # Rooms
//
//	supervisor             what users of the package name, and the command line: from arguments to a plan and a run
//	  supervisortest       for tests of servers: start a selection, wait for states, make one fail; with a fake clock
//	  charset, mounts      small ones that servers use, too
//	  topics               what `help TOPIC` prints of what this package does, in Markdown; no package
//	  internal/admin       the API by which a run is looked at and steered: its handlers, its client, its types
//	  internal/bare        how supervisortest asks for a run without a folder, files and sockets of its own
//	  internal/child       a server in a process of its own, both sides of it
//	  internal/crash       how the run before has ended, and what tells it
//	  internal/configfile  config files in YAML and JSON
//	  internal/kept        files and folders that are to stay where they are
//	  internal/life        a group of servers with needs, readiness and restarts, without flags
//	  internal/markdown    Markdown in a terminal
//	  internal/meter       what servers use up
//	  internal/sockets     the listening sockets of a server, which outlast its starts
//	  internal/sweep       the process that removes what a killed one leaves behind
//	  internal/system      what differs by operating system
//	  internal/text        what is shown, and errors: columns, quotes, suggestions
//	  internal/timeline    where the time of a start went, as text and as a picture
//
// None of them imports this package but supervisortest, which is for its users. What a server logs is the business of
// package logging.
//
// # The trip of a call
//
// Data goes one way. What comes first stands first here.
//
//   - [HyperKube.Run] finds out what the arguments want (hyperkube.go): to be a server, a command (command.go, and the
//     files that end in command.go or commands.go), or `run`.
//   - What the user gives, in files, in the environment and in arguments, becomes assignments to flags (sources.go,
//     config.go, arguments.go, flags.go). All that is wrong is collected on the way (problems.go) and told at once.
//   - From these follow the servers (selection.go) and a [Plan] (plan.go), which servers read. Its fields
//     given and run have what the user said, and what happens.
//   - The run checks and prepares (run.go): it holds the data folder (folder.go, owner.go, belongings.go), opens
//     sockets (port.go, socket.go), log files (logs.go) and the admin socket (adminsocket.go).
//   - Each server has a seat in the run (seat.go): its log, its actor, its sockets, and what its flags say. From that
//     the group of package internal/life is made. A server with [IsolationProcess] is a process there (isolation.go,
//     isolated.go).
//   - The group tells of each change with an [Event]. The readers show it on the screen (console.go), write it to the
//     log (logs.go), tell it to systemd (notify.go) and to whoever asks the admin API.
//   - When all have been ready, the process uses less (idle.go, memory.go), and the command of `run -- COMMAND` starts
//     (foreground.go). When the last one has ended, the folder is let go.
//
// The command doctor goes this way as far as the checks, and looks at the machine (diagnose.go, usershell.go), for
// findings (finding.go). Commands such as status and restart ask a run over its socket (remote.go). What users are told
// to type is made in hint.go. Programs that are no command line, such as tests, have the same run by [HyperKube.Start].
//
// How a server lives, from waiting for its needs to its end, is drawn in package internal/life.
//
// # What a run is proof against
//
// The first signal stops all in order, and a second one ends the process at once. What comes within a second is a copy
// (stops.go).
//
// A run fails when its data folder is gone, or something of what a server keeps in it or elsewhere (Server.Keeps): all
// are stopped, those that keep something first, and nothing is written any more where the folder was (lost.go).
//
// A panic in the goroutine in which Run was called is that server's failure. A panic in another goroutine ends the
// process, as it does in every Go program; the next run tells which server it was (lookback.go).
package supervisor
