// Package logging keeps the logs of several servers apart that share one process.
//
// There is one [Logs] in a process and one [Log] in it for each server. A Log has its own level and its own file, and
// hands out loggers of the usual kinds (zap, slog, logr); what is written there carries the server's name. Data goes
// one way:
//
//	zap ─┐                                              ┌─ queue ─ the server's file: JSON, rotated
//	slog ┼─ Log: is it enabled? ─ one line of JSON ─────┤
//	logr ┘                                              └─ queue ─ Config.Out: JSON, or console text made of it
//
// A line is encoded once. The queues take lines without waiting, whatever becomes of the file or the terminal, and each
// has a goroutine that writes them. What people read ([Renderer], [Reader]) is made of the same lines of JSON, whether
// they come from a queue or from a file.
//
// # Whose line is it
//
// Libraries that log through a process-wide logger (the standard log package, slog's default, klog, …) know nothing of
// servers. Their lines are placed by three means, in this order:
//
//  1. A logger that was made for a server is that server's, whoever uses it; so are loggers found in its context.
//  2. The label of the goroutine that writes: [Log.Do] sets it, and each goroutine that is started from there inherits
//     it. It is an ordinary pprof label (server=NAME), so that CPU and goroutine profiles tell the servers apart, too.
//     It is compared by the identity of the pointer that the runtime keeps for the goroutine, and never decoded: what
//     it points to belongs to the runtime and changes between Go versions.
//  3. The code that writes, for goroutines that no server started, such as those in which the runtime runs the function
//     of a time.AfterFunc: [Log.Claim] says which packages are one server's alone.
//
// A line that none of them can place is the program's, and is counted ([Logs.Unplaced]).
//
// The bridge for klog is in the package klogs below this one, so that a team without Kubernetes does not link it.
package logging
