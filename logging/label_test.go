package logging

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"
)

// owner is the name of the server whose goroutine is running, or "".
func owner() string {
	if l := Owner(); l != nil {
		return l.Name()
	}
	return ""
}

// inGoroutine runs f in a goroutine of its own, and waits for it.
func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	receive("the goroutine's end", done)
}

func TestOwnerIsTheServerThatStartedTheGoroutine(t *testing.T) {
	for _, test := range []struct {
		name string
		// start has note called in the way that is tested, and returns when it was.
		start func(note func())
		want  string
	}{
		{"its own", func(note func()) { note() }, "db"},
		{"child", inGoroutine, "db"},
		{"grandchild", func(note func()) { inGoroutine(func() { inGoroutine(note) }) }, "db"},
		{"orphan", func(note func()) {
			// The child has ended when its child asks.
			childEnded, done := make(chan struct{}), make(chan struct{})
			inGoroutine(func() {
				go func() {
					defer close(done)
					receive("the child's end", childEnded)
					note()
				}()
			})
			close(childEnded)
			receive("the goroutine's end", done)
		}, "db"},
		{"errgroup", func(note func()) {
			var g errgroup.Group
			g.Go(func() error { note(); return nil })
			_ = g.Wait()
		}, "db"},
		{"HTTP handler of its server", func(note func()) {
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { note() }))
			defer server.Close()
			if resp, err := server.Client().Get(server.URL); err == nil {
				_ = resp.Body.Close()
			}
		}, "db"},
		{"goroutine that waits for a timer", func(note func()) { inGoroutine(func() { <-time.After(1); note() }) }, "db"},
		{"goroutine that a shared library started at its call", func(note func()) {
			work, done := make(chan func()), make(chan struct{})
			start := sync.OnceFunc(func() {
				go func() {
					defer close(done)
					for f := range work {
						f()
					}
				}()
			})
			start()
			work <- note
			close(work)
			receive("the goroutine's end", done)
		}, "db"},
		{"finished and started again", func(note func()) { inGoroutine(func() {}); inGoroutine(note) }, "db"},
		{"locked to its thread", func(note func()) {
			inGoroutine(func() { runtime.LockOSThread(); defer runtime.UnlockOSThread(); note() })
		}, "db"},
		{"after it has been suspended", func(note func()) { inGoroutine(func() { runtime.GC(); runtime.Gosched(); note() }) }, "db"},
		// The runtime starts the goroutine of a timer's function from none: nothing tells whose it is.
		{"timer's function", func(note func()) {
			done := make(chan struct{})
			time.AfterFunc(1, func() {
				defer close(done)
				note()
			})
			receive("the goroutine's end", done)
		}, ""},
		{"context's function", func(note func()) {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			context.AfterFunc(ctx, func() {
				defer close(done)
				note()
			})
			cancel()
			receive("the goroutine's end", done)
		}, "db"},
		{"under a label of its own", func(note func()) {
			pprof.Do(context.Background(), pprof.Labels("step", "one"), func(context.Context) { note() })
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got string
			ls := newLogs(t, Config{})
			ls.Server("db").Do(func() {
				test.start(func() {
					got = owner()
					ls.Place()
				})
			})
			if got != test.want {
				t.Errorf("owner is %q, want %q", got, test.want)
			}
			if unplaced := test.want == ""; (ls.Unplaced() == 1) != unplaced {
				t.Errorf("%d lines are unplaced; want one: %v", ls.Unplaced(), unplaced)
			}
		})
	}
}

func TestGoroutineOfNobody(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Program: "km"})
	work := make(chan func())
	done := make(chan struct{})
	go func() { // started before, and outside of, any server
		defer close(done)
		for f := range work {
			f()
		}
	}()
	ls.Server("db").Do(func() {
		work <- func() { ls.Place().Zap().Info("whose is this") }
		ls.Place().Zap().Info("mine")
	})
	close(work)
	receive("the goroutine's end", done)
	text := written(ls, out)
	if !strings.Contains(text, "I km  whose is this\n") || !strings.Contains(text, "I db  mine\n") {
		t.Errorf("not placed right:\n%s", text)
	}
	if n := ls.Unplaced(); n != 1 {
		t.Errorf("%d lines are unplaced, want 1", n)
	}
}

// A logger of the whole process has one destination, but there may be servers with other Logs in it: their lines are
// theirs.
func TestPlaceFindsServersOfOtherLogs(t *testing.T) {
	ours, theirs := newLogs(t, Config{}), newLogs(t, Config{})
	ours.Server("db")
	db := theirs.Server("db")
	db.Do(func() {
		if l := ours.Place(); l != db || ours.Unplaced() != 0 {
			t.Errorf("placed at %s of its own: %v, %d unplaced", l.Name(), l.logs == ours, ours.Unplaced())
		}
	})
}

// The label is found by the identity of the pointer that the runtime keeps: if a Go version copied it, or kept
// something else, no line of klog's or of the standard log would be placed.
func TestLabelIsOnePointer(t *testing.T) {
	ls := newLogs(t, Config{})
	db, api := ls.Server("db"), ls.Server("api")
	label := func(l *Log) (p unsafe.Pointer) {
		l.Do(func() { p = goroutineLabel() })
		return p
	}
	first := label(db)
	if first == nil {
		t.Fatal("a goroutine under Do has no label")
	}
	if label(api) == first {
		t.Error("two servers have the same label")
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if label(db) != first {
					t.Error("the label of a later Do is another one")
				}
				db.Do(func() {
					inGoroutine(func() {
						if goroutineLabel() != first {
							t.Error("what a goroutine inherits is not the same pointer")
						}
					})
				})
			}
		})
	}
	wg.Wait()
	runtime.GC()
	if label(db) != first {
		t.Error("the label has been moved")
	}
	if goroutineLabel() != nil {
		t.Error("a goroutine that has no label has one")
	}
}

// It is an ordinary label, which profiles show.
func TestLabelIsThatOfProfiles(t *testing.T) {
	ls := newLogs(t, Config{})
	ls.Server("db").Do(func() {
		started, end, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(gone)
			waitForEnd(started, end)
		}()
		receive("the goroutine's start", started)
		var profile bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
			t.Error(err)
		}
		close(end)
		receive("the goroutine's end", gone)
		if !strings.Contains(profile.String(), `{"server":"db"}`) {
			t.Errorf("no goroutine has it:\n%s", &profile)
		}
	})
}

func TestDoRestoresTheLabel(t *testing.T) {
	ls := newLogs(t, Config{})
	db, api := ls.Server("db"), ls.Server("api")
	var got []string
	note := func() { got = append(got, owner()) }
	note()
	db.Do(func() {
		note()
		api.Do(func() {
			note()
			db.Do(note)
			note()
		})
		func() {
			defer func() { _ = recover() }()
			api.Do(func() { panic("out") })
		}()
		note()
	})
	note()
	if want := []string{"", "db", "api", "db", "api", "db", ""}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("owners were %q, want %q", got, want)
	}
}

// A goroutine that ends itself under Do, as klog's Fatal does here, leaves nothing behind either.
func TestDoIsLeftByGoexit(t *testing.T) {
	ls := newLogs(t, Config{})
	got := "?"
	inGoroutine(func() {
		defer func() { got = owner() }()
		ls.Server("db").Do(runtime.Goexit)
	})
	if got != "" {
		t.Errorf("after Do the goroutine is %s's", got)
	}
}

// Do puts labels back that it knows nothing of.
func TestDoRestoresForeignLabels(t *testing.T) {
	pprof.Do(context.Background(), pprof.Labels("step", "one"), func(context.Context) {
		before := goroutineLabel()
		newLogs(t, Config{}).Server("db").Do(func() {})
		if before == nil || goroutineLabel() != before {
			t.Error("the labels are not what they were")
		}
	})
}

// Many servers start, many goroutines ask, and all at once.
func TestConcurrentPlacement(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out})
	const servers, goroutines, rounds = 20, 10, 10
	var wg sync.WaitGroup
	for i := range servers {
		name := fmt.Sprintf("s%02d", i)
		wg.Go(func() {
			ls.Server(name).Do(func() {
				var children sync.WaitGroup
				for range goroutines {
					children.Go(func() {
						for range rounds {
							ls.Place().Zap().Info("I am " + name)
						}
					})
				}
				children.Wait()
			})
		})
	}
	wg.Wait()
	if n := ls.Unplaced(); n != 0 {
		t.Errorf("%d lines are unplaced", n)
	}
	n := 0
	ls.Flush()
	for line := range strings.Lines(out.take()) {
		n++
		words := strings.Fields(line) // time, severity, server, "I", "am", NAME
		if len(words) != 6 || words[2] != words[5] {
			t.Errorf("not placed right, or torn: %q", line)
		}
	}
	if want := servers * goroutines * rounds; n != want {
		t.Errorf("%d lines, want %d", n, want)
	}
}
