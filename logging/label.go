package logging

import (
	"runtime/pprof"
	"sync"
	"unsafe"
)

// LabelKey is the key of the pprof label that names the server: `go tool pprof -tagfocus server=NAME` uses it.
const LabelKey = "server"

// goroutineLabel returns the pointer that the runtime keeps as the running goroutine's labels. Only its identity is
// used. The name is one that the runtime promises to keep for such use (see its comment in runtime/proflabel.go); if Go
// ever withdraws it, the program does not link.
//
//go:linkname goroutineLabel runtime/pprof.runtime_getProfLabel
func goroutineLabel() unsafe.Pointer

// owners maps the label pointers of all labelled goroutines to their Logs. Holding the pointer as a key keeps the label
// alive, so the address is never reused.
var owners sync.Map // of unsafe.Pointer to *Log

// Owner returns the Log of the server whose goroutine is running, or nil if no server started it. It costs a few
// nanoseconds and does not allocate.
func Owner() *Log {
	l, _ := owners.Load(goroutineLabel())
	owner, _ := l.(*Log)
	return owner
}

// Do runs f with the goroutine labelled as this server's. Each goroutine that f starts, and those that they start,
// inherit the label. When f returns, the goroutine has the labels it had before.
//
// The function of a time.AfterFunc is run by the runtime, in a goroutine of its own, which has no label.
//
// A call of pprof.Do or pprof.SetGoroutineLabels inside f replaces the label: lines logged there are not placed by it.
func (l *Log) Do(f func()) {
	before := goroutineLabel()
	defer setGoroutineLabel(before)
	pprof.SetGoroutineLabels(l.labels)
	owners.LoadOrStore(goroutineLabel(), l) // the pointer is the same each time: it comes from l.labels
	f()
}

//go:linkname setGoroutineLabel runtime/pprof.runtime_setProfLabel
func setGoroutineLabel(unsafe.Pointer)
