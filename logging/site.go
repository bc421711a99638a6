package logging

import (
	"runtime"
	"slices"
	"sync"

	"go.uber.org/zap/zapcore"
)

// site is a place in the code from where lines are written.
type site struct {
	caller zapcore.EntryCaller
	// level is the severity of a process-wide logger's line, going by the function that was called there: klog hands on
	// warnings and fatal lines as Info. It is InfoLevel if nothing is known.
	level zapcore.Level
}

// maxFrames is how many functions there may be between sink and caller for the site to be remembered. klog and grpc
// need 13.
const maxFrames = 16

// sites are those that have been seen, by the program counters of the functions between sink and caller. Finding the
// functions' names takes a multiple of the time of everything else.
type sites struct {
	// severity is given the names of the functions that the caller has called, the innermost first.
	severity func(functions []string) zapcore.Level

	mu   sync.RWMutex
	seen map[[maxFrames]uintptr]*site
}

// find returns the site of a call that is depth functions above the caller of find's caller.
func (st *sites) find(depth int) *site {
	const own = 2 // runtime.Callers and find
	var key [maxFrames]uintptr
	if depth+2 > maxFrames {
		pcs := make([]uintptr, depth+2)
		return st.look(pcs[:runtime.Callers(own, pcs)])
	}
	n := runtime.Callers(own, key[:depth+2])
	st.mu.RLock()
	found := st.seen[key]
	st.mu.RUnlock()
	if found != nil {
		return found
	}
	found = st.look(slices.Clone(key[:n])) // a copy, or each key is allocated
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.seen == nil {
		st.seen = map[[maxFrames]uintptr]*site{}
	}
	st.seen[key] = found
	return found
}

// look makes the site. The last of the program counters is the caller's.
func (st *sites) look(pcs []uintptr) *site {
	var names []string
	frames := runtime.CallersFrames(pcs)
	for {
		frame, more := frames.Next()
		if !more {
			found := &site{caller: zapcore.EntryCaller{Defined: frame.PC != 0, PC: frame.PC, File: frame.File, Line: frame.Line, Function: frame.Function}}
			if st.severity != nil {
				found.level = st.severity(names)
			}
			return found
		}
		names = append(names, frame.Function)
	}
}
