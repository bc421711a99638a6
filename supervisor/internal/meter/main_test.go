package meter

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-200a7251/km/logging"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The tests are not parallel: there is one CPU profile in a process.

// limit is how long a test may take at most. It is no expectation of speed: a busy machine is slow, and gives little
// CPU time to measure.
const limit = 4 * time.Minute

// guard ends the process, with the stacks of all goroutines, if the test does not end.
func guard(t *testing.T) {
	timer := time.AfterFunc(limit, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("%s does not end: not within %v", t.Name(), limit))
	})
	t.Cleanup(func() { timer.Stop() })
}

// newCPU makes one that reads profiles more often than usual.
func newCPU(t *testing.T) *CPU {
	guard(t)
	c := &CPU{shortest: 50 * time.Millisecond}
	t.Cleanup(c.Close)
	return c
}

// servers makes Logs for servers whose names no other test has.
func servers(t *testing.T, names ...string) (all []*logging.Log) {
	guard(t)
	ls := logging.New(logging.Config{})
	t.Cleanup(ls.Close)
	for _, name := range names {
		all = append(all, ls.Server(t.Name()+"/"+name))
	}
	return all
}

// burn keeps n goroutines of the server busy until the end of the test, or until stop is called.
func burn(t *testing.T, l *logging.Log, n int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	l.Do(func() {
		for range n {
			all.Go(func() {
				for ctx.Err() == nil {
					runtime.KeepAlive(spin())
				}
			})
		}
	})
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return stop
}

// spin does what takes some CPU time, without memory that is shared: the race detector would spend it in code that has
// no name.
//
//go:noinline
func spin() (x uint64) {
	for range 100_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// until asks for the seconds until they are enough.
func until(t *testing.T, c *CPU, enough func(seconds map[string]float64) bool) map[string]float64 {
	t.Helper()
	before := map[string]float64{}
	for {
		now, err := c.Seconds()
		if err != nil {
			t.Fatal(err)
		}
		for server, s := range before {
			if now[server] < s {
				t.Fatalf("%q has %v seconds after %v", server, now[server], s)
			}
		}
		if enough(now) {
			return now
		}
		before = now
		time.Sleep(5 * time.Millisecond) // CPU time is not to be had otherwise than by the servers' using it
	}
}

// spend has the process use so much CPU time, in seconds, and calls f now and then.
func spend(seconds float64, f func()) {
	began := time.Now()
	for from := usage(); usage() < from+seconds; f() {
		runtime.KeepAlive(spin())
		if !usageKnown && time.Since(began).Seconds() > seconds {
			return
		}
	}
}

// free reports whether nobody takes a CPU profile.
func free() bool {
	if pprof.StartCPUProfile(discard{}) != nil {
		return false
	}
	pprof.StopCPUProfile()
	return true
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// startForeign begins a CPU profile as somebody else does, and stopForeign ends whatever there is.
func startForeign(t *testing.T) {
	t.Helper()
	if err := pprof.StartCPUProfile(discard{}); err != nil {
		t.Fatal(err)
	}
}

func stopForeign() { pprof.StopCPUProfile() }
