// Package child runs a server in a process of its own: a child of the one that runs the others, and the same binary.
// Both sides of it are here. What they say to each other is in protocol.go.
//
//	parent ([Child])                        child ([Parent])
//	  │── plan ────────────────────────────▶│  once: what it is to run, with all flags
//	  │── order: level, stop ──────────────▶│
//	  │◀── report: ready, failed, sockets ──│
//	  │◀── lines of JSON ───────────────────│  its log
//	  │◀── text ────────────────────────────│  standard output and error, such as the traceback of a crash
//
// The first three are one socket. When it is closed the other side has died: a child then ends at once.
package child
