package logging

import (
	"container/list"
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Some packages of the standard library stand for the code of servers here: their functions call what they are given.
var (
	inStrings = func(f func()) { _ = strings.Map(func(c rune) rune { f(); return c }, "x") }
	inSlices  = func(f func()) { slices.SortFunc([]int{1, 2}, func(a, b int) int { f(); return a - b }) }
	inSync    = func(f func()) { new(sync.Once).Do(f) }
	inGoAST   = func(f func()) { ast.Inspect(ast.NewIdent("x"), func(n ast.Node) bool { return n != nil && call(f) }) }
)

func call(f func()) bool { f(); return true }

// Lines of goroutines that no server has started are placed by the code that writes.
func TestClaim(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims string // SERVER=PACKAGE, in the order in which they are made
		in     func(func())
		want   string
	}{
		{"no claims", "", inStrings, ""},
		{"a function", "db=strings", inStrings, "db"},
		{"a function with type parameters", "db=slices", inSlices, "db"},
		{"a method", "db=sync", inSync, "db"},
		{"another package", "db=bytes", inStrings, ""},
		{"several packages", "db=bytes db=strings db=sync", inSync, "db"},
		{"a package below", "db=go", inGoAST, "db"},
		{"the package itself", "db=go/ast", inGoAST, "db"},
		{"the beginning of a name", "db=strin", inStrings, ""},
		{"the beginning of a folder's name", "db=g", inGoAST, ""},
		{"the beginning of a package's name", "db=go/as", inGoAST, ""},
		{"more than the name", "db=strings/x", inStrings, ""},
		{"a function is no package", "db=strings.Map", inStrings, ""},
		{"nothing", "db=", inStrings, ""},
		{"the longest path wins", "db=go api=go/ast", inGoAST, "api"},
		{"the longest path wins, in whatever order", "api=go/ast db=go", inGoAST, "api"},
		{"the longest path that fits", "db=go api=go/parser", inGoAST, "db"},
		{"the innermost function wins", "db=strings api=sync", func(f func()) { inStrings(func() { inSync(f) }) }, "api"},
		{"the innermost function wins, the other way round", "db=strings api=sync", func(f func()) { inSync(func() { inStrings(f) }) }, "db"},
		{"the innermost function that is claimed", "db=strings", func(f func()) { inStrings(func() { inSync(f) }) }, "db"},
		{"far below", "db=strings", func(f func()) { inStrings(func() { below(40, f) }) }, "db"},
		{"in a timer's function", "db=strings", func(f func()) { inTimer(func() { inStrings(f) }) }, "db"},
		{"around a timer's function", "db=strings", func(f func()) { inStrings(func() { inTimer(f) }) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ls := newLogs(t, Config{})
			for claim := range strings.FieldsSeq(test.claims) {
				server, path, _ := strings.Cut(claim, "=")
				ls.Server(server).Claim(path)
			}
			var found, placed *Log
			test.in(func() { found, placed = ls.Find(), ls.Place() })
			got := ""
			if found != nil {
				got = found.Name()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if found != nil && placed != found || found == nil && placed != ls.Program() {
				t.Errorf("Place says %s, Find %q", placed.Name(), got)
			}
			if unplaced := ls.Unplaced() > 0; unplaced != (test.want == "") {
				t.Errorf("%d lines are unplaced", ls.Unplaced())
			}
		})
	}
}

// inTimer runs f as the function of a timer, and waits for it.
func inTimer(f func()) {
	done := make(chan struct{})
	time.AfterFunc(1, func() {
		defer close(done)
		f()
	})
	receive("the timer's function", done)
}

// below runs f with n functions between.
//
//go:noinline
func below(n int, f func()) {
	if n == 0 {
		f()
		return
	}
	below(n-1, f)
}

// The label comes first: claimed code that another server runs is that server's.
func TestLabelComesBeforeClaims(t *testing.T) {
	ls := newLogs(t, Config{})
	ls.Server("db").Claim("strings")
	ls.Server("api").Do(func() {
		inStrings(func() {
			if l := ls.Place(); l.Name() != "api" {
				t.Errorf("placed at %s", l.Name())
			}
		})
	})
}

// A package is claimed by its import path, whatever the compiler makes of it in the names of functions.
func TestClaimedNames(t *testing.T) {
	for _, test := range []struct {
		path, function string
		want           bool
	}{
		{"example.com/a", "example.com/a.F", true},
		{"example.com/a", "example.com/a.(*T).M", true},
		{"example.com/a", "example.com/a.F.func1", true},
		{"example.com/a", "example.com/a.F[...]", true},
		{"example.com/a", "example.com/a.init.0", true},
		{"example.com/a", "example.com/a/b.F", true},
		{"example.com/a", "example.com/a/b/c.(*T).M.func1", true},
		{"example.com/a", "example.com/ab.F", false},
		{"example.com/a", "example.com/ab/c.F", false},
		{"example.com/a", "example.com/b/a.F", false},
		{"example.com/a", "other.com/example.com/a.F", false},
		{"example.com/a", "example.com/a", false},
		{"example.com/a", "", false},
		// A dot in the last part of a path is written %2e.
		{"gopkg.in/natefinch/lumberjack.v2", "gopkg.in/natefinch/lumberjack%2ev2.(*Logger).Write", true},
		{"gopkg.in/natefinch/lumberjack", "gopkg.in/natefinch/lumberjack%2ev2.(*Logger).Write", false},
		{"gopkg.in/a.v2", "gopkg.in/a.v2/b.F", true},
		{"gopkg.in/a", "gopkg.in/a.v2/b.F", false},
		{"gopkg.in/a", "gopkg.in/a.v2/b.(*T).M", false},
		{"k8s.io/klog/v2", "k8s.io/klog/v2.Info", true},
		{"k8s.io/klog", "k8s.io/klog/v2.Info", true},
	} {
		ls := newLogs(t, Config{})
		ls.Server("db").Claim(test.path)
		if got := claimed(*ls.claims.Load(), test.function) != nil; got != test.want {
			t.Errorf("%s of %s: %v, want %v", test.function, test.path, got, test.want)
		}
	}
}

// Of two servers that claim the same, one has it, and it stays so.
func TestClaimTwice(t *testing.T) {
	ls := newLogs(t, Config{})
	ls.Server("a").Claim("strings", "strings")
	ls.Server("b").Claim("strings")
	inStrings(func() {
		if l := ls.Find(); l == nil || l.Name() != "a" {
			t.Errorf("it is %v's, want a's, who was first", l)
		}
	})
}

// What a worker does that serves all servers is not theirs whose goroutines have handed it the work.
func TestWorkHandedOver(t *testing.T) {
	ls := newLogs(t, Config{})
	var queue list.List
	var mu sync.Mutex
	a, b := ls.Server("a"), ls.Server("b")
	var wg sync.WaitGroup
	work := func(n int) (names []string) {
		mu.Lock()
		defer mu.Unlock()
		for range n {
			names = append(names, queue.Remove(queue.Front()).(func() string)())
		}
		return names
	}
	put := func() {
		mu.Lock()
		defer mu.Unlock()
		queue.PushBack(func() string { return ls.Place().Name() })
	}
	a.Do(put)
	b.Do(put)
	var got []string
	a.Do(func() { wg.Go(func() { got = work(2) }) })
	wg.Wait()
	if fmt.Sprint(got) != "[a a]" {
		t.Errorf("%v: it is the worker's server that logs", got)
	}
}
