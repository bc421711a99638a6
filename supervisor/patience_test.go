package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// hang ends a test in which something has not come within patience, with the stacks of all goroutines.
func hang(t testing.TB, what string) {
	t.Helper()
	t.Fatal(overdue(t, what))
}

// overdue is the error of hang, for goroutines that cannot end the test. The stacks are printed at once, too: what a
// test has logged is lost if the process ends before the test does.
func overdue(t testing.TB, what string) error {
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Error(err)
	}
	err := fmt.Errorf("%s: not within %v\n%s", what, patience, &stacks)
	fmt.Fprintf(os.Stderr, "%s: %v", t.Name(), err)
	return err
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			hang(t, what)
		}
	}
}

// receive waits for what comes from a channel, or for its end.
func receive[T any](t testing.TB, what string, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		hang(t, what)
	}
	return value
}

// guard ends the process, with the stacks of all goroutines, if the test hangs where hang cannot be called: in a run of
// servers, which wait for one another. Such a test waits several times, and so do its cleanups, each up to patience.
func guard(t testing.TB) {
	const limit = 5 * patience
	timer := time.AfterFunc(limit, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("%s does not end: not within %v", t.Name(), limit))
	})
	t.Cleanup(func() { timer.Stop() })
}
