// Package system asks the operating system, and has all that differs from one to another: signals, process groups and
// children, sockets, owners and modes of files, memory, timers and terminals. It decides nothing: what is done with an
// answer is the caller's. Where a system has no such thing, the function does nothing, and its comment there says so.
package system
