package logging

import (
	"strings"
	"testing"
)

func waitForEnd(started chan<- struct{}, end <-chan struct{}) {
	started <- struct{}{}
	<-end
}

func waitElsewhere(started chan<- struct{}, end <-chan struct{}) {
	started <- struct{}{}
	<-end
}

func TestStacksAreThoseOfOneServer(t *testing.T) {
	ls := newLogs(t, Config{})
	started, end := make(chan struct{}), make(chan struct{})
	gone := make(chan struct{}, 4)
	start := func(f func(chan<- struct{}, <-chan struct{})) {
		go func() {
			defer func() { gone <- struct{}{} }()
			f(started, end)
		}()
		receive("the goroutine's start", started)
	}
	ls.Server("stacks-db").Do(func() {
		start(waitForEnd)
		start(waitForEnd)
	})
	ls.Server("stacks-db-2").Do(func() { start(waitElsewhere) }) // a name that begins with the other one
	start(waitElsewhere)

	got := Stacks("stacks-db")
	if !strings.Contains(got, "logging.waitForEnd") || strings.Contains(got, "waitElsewhere") {
		t.Errorf("these are not the stacks of stacks-db:\n%s", got)
	}
	if !strings.HasPrefix(got, "2 @ ") {
		t.Errorf("two goroutines with the same stack are to be told once:\n%s", got)
	}
	if got := Stacks("nobody"); got != "" {
		t.Errorf("nobody has stacks:\n%s", got)
	}
	close(end)
	for range cap(gone) {
		receive("the goroutine's end", gone)
	}
}
