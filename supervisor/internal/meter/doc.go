// Package meter tells how much CPU time and how many goroutines each of the servers has that share this process, and
// takes CPU profiles of one of them.
//
// What is a server's is known by the pprof label that logging.Log.Do sets ([logging.LabelKey]), and that each goroutine
// inherits which is started from there. What has no label is under the name "": the program itself, the garbage
// collector, and goroutines in which the runtime runs the function of a time.AfterFunc.
//
// # CPU time
//
// The operating system knows the CPU time of threads, and servers share these. The Go runtime tells goroutines apart in
// one place only, CPU profiles: on each thread, every 10 ms of CPU time, it notes who is running. So [CPU] takes one
// profile after the other, as long as somebody asks, and divides the CPU time that the process has used meanwhile (by
// the operating system's count, which is exact) by the samples (which are not: a server that uses 1% of a CPU has one
// sample in a second).
//
// There can be one CPU profile at a time in a process. While CPU measures, others who begin one get Go's error "cpu
// profiling already in use", such as the servers' own /debug/pprof/profile; CPU.Profile takes turns with the measuring
// and is what to use instead. While others have theirs, CPU cannot measure and says so.
package meter
