// Package logging keeps the logs of several servers apart that share one process.
//
// There is one [Logs] in a process and one [Log] in it for each server. A Log has its own level and hands out a
// *zap.Logger; what is written there carries the server's name. Libraries that log through a process-wide logger
// (klog, the standard log package, …) know nothing of servers; their lines are placed by asking whose goroutine is
// writing them:
//
//	log.Do(func() { server.Run(ctx) })   // labels this goroutine; each goroutine started from it inherits the label
//	logging.Owner()                      // in a bridge: the Log of the goroutine that is running
//
// The label is an ordinary pprof label (server=NAME), so that CPU and goroutine profiles tell the servers apart too.
// It is compared by the identity of the pointer that the runtime keeps for the goroutine, and never decoded: what it
// points to belongs to the runtime and changes between Go versions.
//
// The bridge for klog is in the package klogs below this one, so that a team without Kubernetes does not link it.
package logging
