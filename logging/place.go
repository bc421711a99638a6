package logging

import (
	"net/url"
	"runtime"
	"slices"
	"strings"
)

// claim says that a package, and those below it, belong to one server.
type claim struct {
	path string
	log  *Log
}

// Claim says that code of these packages, and of those below them, is run by this server alone. Lines of goroutines
// that no server started are placed by it; of several packages that fit, the one with the longest path counts.
func (l *Log) Claim(packages ...string) {
	ls := l.logs
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var next []claim
	if before := ls.claims.Load(); before != nil {
		next = slices.Clone(*before)
	}
	for _, p := range packages {
		next = append(next, claim{p, l})
	}
	slices.SortStableFunc(next, func(a, b claim) int { return len(b.path) - len(a.path) })
	ls.claims.Store(&next)
}

// Place returns the Log of the server whose line is being written, as the package comment has it. If none is found,
// that is the program's, and the line is counted as unplaced.
func (ls *Logs) Place() *Log {
	if l := ls.Find(); l != nil {
		return l
	}
	ls.unplaced.Add(1)
	return ls.program
}

// peek is Place without counting: to ask for a level is not to write.
func (ls *Logs) peek() *Log {
	if l := ls.Find(); l != nil {
		return l
	}
	return ls.program
}

// Find returns the Log of the server whose code is running, or nil.
func (ls *Logs) Find() *Log {
	if l := Owner(); l != nil { // it may be of other Logs: a process-wide logger has only one for all
		return l
	}
	return ls.byCode()
}

// byCode returns the Log that has claimed the innermost claimed function on the stack, or nil.
func (ls *Logs) byCode() *Log {
	claims := ls.claims.Load()
	if claims == nil {
		return nil
	}
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		frame, more := frames.Next()
		if l := claimed(*claims, frame.Function); l != nil || !more {
			return l
		}
	}
}

// claimed returns the Log that has claimed a function, given by its name as in runtime.Frame.
func claimed(claims []claim, function string) *Log {
	path := packagePath(function)
	for _, c := range claims {
		if rest, ok := strings.CutPrefix(path, c.path); ok && (rest == "" || rest[0] == '/') {
			return c.log
		}
	}
	return nil
}

// packagePath is the import path of the package of a function, given by its name as in runtime.Frame, such as
// gopkg.in/yaml%2ev3.(*Decoder).Decode.
func packagePath(function string) string {
	if i := strings.IndexAny(function, "[("); i >= 0 {
		function = function[:i] // types have paths, too
	}
	base := strings.LastIndexByte(function, '/') + 1
	point := strings.IndexByte(function[base:], '.')
	if point < 0 {
		return ""
	}
	path := function[:base+point]
	if plain, err := url.PathUnescape(path); err == nil { // points in the last part are escaped
		return plain
	}
	return path
}
