package meter

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/pprof/profile"
)

// The servers get what they use, and all together what the process does.
func TestSeconds(t *testing.T) {
	all := servers(t, "quiet", "busy", "idle")
	quiet, busy, idle := all[0].Name(), all[1].Name(), all[2].Name()
	c := newCPU(t)
	before := usage()
	first, err := c.Seconds()
	if err != nil || first == nil || len(first) != 0 {
		t.Fatalf("the first call says %v, %v", first, err)
	}
	burn(t, all[0], 1)
	burn(t, all[1], 3)
	got := until(t, c, func(s map[string]float64) bool { return s[quiet]+s[busy] > 1.5 })
	used := usage() - before
	t.Logf("of %v seconds %v", used, got)
	if got[busy] < 1.5*got[quiet] || got[quiet] < 0.05 {
		t.Errorf("quiet has %v, busy %v, want about 1:3", got[quiet], got[busy])
	}
	if s, ok := got[idle]; ok {
		t.Errorf("idle has %v", s)
	}
	if !usageKnown {
		return
	}
	sum := 0.0
	for s := range maps.Values(got) {
		sum += s
	}
	if sum > used+1e-6 || sum < used/2 {
		t.Errorf("all have %v together, and the process has used %v", sum, used)
	}
}

// The map is the caller's.
func TestSecondsAreACopy(t *testing.T) {
	c := newCPU(t)
	c.add("db", 1)
	first, err := c.Seconds()
	if err != nil {
		t.Fatal(err)
	}
	first["db"] = 0
	if again, err := c.Seconds(); err != nil || again["db"] != 1 {
		t.Errorf("%v, %v", again, err)
	}
}

// A process that does little has few samples. What it uses between them is not the program's for that.
func TestShare(t *testing.T) {
	type step struct {
		used    float64
		samples map[string]int64
	}
	const tick = 10_000_000
	for _, test := range []struct {
		name     string
		steps    []step
		want     map[string]float64
		unshared float64
	}{
		{"nothing", []step{{0, nil}}, nil, 0},
		{"by samples", []step{{1, map[string]int64{"a": tick, "b": 3 * tick}}}, map[string]float64{"a": 0.25, "b": 0.75}, 0},
		{"nobody's", []step{{1, map[string]int64{"": tick, "b": tick}}}, map[string]float64{"": 0.5, "b": 0.5}, 0},
		{"sums", []step{{1, map[string]int64{"a": tick}}, {2, map[string]int64{"a": 5 * tick}}}, map[string]float64{"a": 3}, 0},
		{"no sample yet", []step{{0.25, nil}, {0.5, nil}}, nil, 0.75},
		{"a sample at last", []step{{0.25, nil}, {0.5, nil}, {0.25, map[string]int64{"a": tick}}}, map[string]float64{"a": 1}, 0},
		{"then none", []step{{1, map[string]int64{"a": tick}}, {0.5, nil}}, map[string]float64{"a": 1}, 0.5},
		{"a clock that goes back", []step{{-1, map[string]int64{"a": tick}}}, map[string]float64{"a": 0}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !usageKnown {
				t.Skip("the samples are all there is")
			}
			c := &CPU{}
			for _, s := range test.steps {
				c.share(s.used, s.samples)
			}
			if diff := cmp.Diff(test.want, c.totals, cmpopts.EquateApprox(0, 1e-9), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if math.Abs(c.unshared-test.unshared) > 1e-9 {
				t.Errorf("%v are not shared, want %v", c.unshared, test.unshared)
			}
		})
	}
}

// What is used between two windows is theirs who were running, as much as they used before; the rest is the program's.
func TestBridge(t *testing.T) {
	at := func(ms int) time.Time { return time.Time{}.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		name      string
		used      float64 // in the window of a second
		next      int     // begins so many milliseconds later
		between   float64 // used until then
		want, own float64
	}{
		{"a process that is idle", 0, 5, 0.002, 0, 0.002},
		{"one that is not", 0.5, 10, 0.007, 0.505, 0.002},
		{"one that is busy", 2, 50, 0.1, 2.1, 0},
		{"it stopped just then", 2, 50, 0.03, 2.03, 0},
		{"a clock that goes back", 0.5, -10, -0.1, 0.5, 0},
	} {
		w := &window{began: at(0), ended: at(1000), from: 3, to: 3 + test.used}
		own := w.bridge(&window{began: at(1000 + test.next), from: w.to + test.between})
		if math.Abs(own-test.own) > 1e-9 || math.Abs(w.used()-test.want) > 1e-9 {
			t.Errorf("%s: %v and %v of its own, want %v and %v", test.name, w.used(), own, test.want, test.own)
		}
	}
}

// While somebody else takes a CPU profile, the sums stand still; then they go on, and do not make up for it.
func TestForeignProfile(t *testing.T) {
	all := servers(t, "db")
	db := all[0].Name()
	burn(t, all[0], 1)
	c := newCPU(t)
	startForeign(t)
	c.add(db, 1)
	spend(0.2, func() {
		got, err := c.Seconds()
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "wait until") {
			t.Fatalf("the error is %v", err)
		}
		if diff := cmp.Diff(map[string]float64{db: 1}, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
	if err := c.Profile(t.Context(), discard{}, 0, ""); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("the error of Profile is %v", err)
	}
	if free() {
		t.Error("the other one's profile has been ended")
	}
	stopForeign()
	begin := usage()
	got := until(t, c, func(s map[string]float64) bool { return s[db] > 1 })
	if used := usage() - begin; usageKnown && got[db] > 1+used {
		t.Errorf("it has %v, but only %v were measured", got[db]-1, used)
	}
}

// pprof.StopCPUProfile ends whosever profile there is. What was measured until then counts, and when the next one is
// somebody else's it is left alone.
func TestMeasuringIsEndedByOthers(t *testing.T) {
	all := servers(t, "db")
	db := all[0].Name()
	stop := burn(t, all[0], 1)
	c := &CPU{shortest: time.Hour} // it reads no profile, unless that has been ended
	t.Cleanup(c.Close)
	if _, err := c.Seconds(); err != nil {
		t.Fatal(err)
	}
	spend(0.2, func() {})
	stop()
	stopForeign()
	startForeign(t)
	got, err := c.Seconds()
	if !errors.Is(err, ErrBusy) {
		t.Errorf("the error is %v", err)
	}
	if got[db] == 0 {
		t.Error("what was measured is lost")
	}
	c.Close()
	if free() {
		t.Error("the other one's profile has been ended")
	}
	stopForeign()
}

// Each call has a profile read, but not more often than that makes sense.
func TestShortest(t *testing.T) {
	c := &CPU{shortest: time.Hour}
	t.Cleanup(c.Close)
	for range 3 {
		if _, err := c.Seconds(); err != nil {
			t.Fatal(err)
		}
	}
	w := c.window
	if _, err := c.Seconds(); err != nil || c.window != w {
		t.Errorf("a profile was read at once; %v", err)
	}
	c.shortest = 1
	if _, err := c.Seconds(); err != nil || c.window == w {
		t.Errorf("no profile was read; %v", err)
	}
}

// When nobody asks any more, measuring ends, and what was measured counts. When somebody asks again, it goes on.
func TestIdle(t *testing.T) {
	all := servers(t, "db")
	db := all[0].Name()
	burn(t, all[0], 1)
	c := &CPU{patience: 200 * time.Millisecond}
	t.Cleanup(c.Close)
	measured := func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.totals[db]
	}
	for range 2 {
		// On a busy machine there may be no sample in that time.
		for before, deadline := measured(), time.Now().Add(limit/3); measured() == before; {
			if time.Now().After(deadline) {
				t.Fatalf("nothing is measured after %v", before)
			}
			if _, err := c.Seconds(); err != nil {
				t.Fatal(err)
			}
			for !free() {
				runtime.Gosched()
			}
			if now := measured(); now < before {
				t.Fatalf("it has %v after %v", now, before)
			}
		}
	}
}

// As long as somebody asks, it does not end.
func TestNotIdle(t *testing.T) {
	c := &CPU{patience: time.Hour}
	t.Cleanup(c.Close)
	if _, err := c.Seconds(); err != nil {
		t.Fatal(err)
	}
	c.expire() // the timer has run out just as somebody asked
	if free() {
		t.Error("it has ended")
	}
}

func TestClose(t *testing.T) {
	all := servers(t, "db")
	db := all[0].Name()
	burn(t, all[0], 1)
	c := newCPU(t)
	before := until(t, c, func(s map[string]float64) bool { return s[db] > 0 })
	spend(0.1, func() {})
	c.Close()
	if !free() {
		t.Error("it goes on")
	}
	got, err := c.Seconds()
	if err != nil || got[db] <= before[db] {
		t.Errorf("it has %v after %v; %v", got[db], before[db], err)
	}
	if !free() {
		t.Error("it begins again")
	}
	if err := c.Profile(t.Context(), discard{}, time.Hour, ""); err == nil || !strings.Contains(err.Error(), "ending") {
		t.Errorf("the error of Profile is %v", err)
	}
	(&CPU{}).Close() // it was never used
	c = newCPU(t)
	taking, err := c.take()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close() // the profile has not noticed the first
	<-taking.closed
	c.taken()
}

// Several ask at once, one takes a profile, and it is closed in the end.
func TestAtOnce(t *testing.T) {
	all := servers(t, "db")
	burn(t, all[0], 1)
	c := newCPU(t)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			until(t, c, func(s map[string]float64) bool { return s[all[0].Name()] > 0.2 })
		})
	}
	asking.Go(func() {
		var data bytes.Buffer
		if err := c.Profile(t.Context(), &data, 50*time.Millisecond, ""); err != nil {
			t.Error(err)
		} else if _, err := profile.ParseData(data.Bytes()); err != nil {
			t.Error(err)
		}
	})
	asking.Wait()
	for range 2 {
		asking.Go(c.Close)
	}
	asking.Wait()
	if !free() {
		t.Error("it goes on")
	}
}

// Whoever asks, what measuring costs is the program's, and no goroutine is added to his.
func TestAskedByServer(t *testing.T) {
	all := servers(t, "db")
	c := newCPU(t)
	all[0].Do(func() {
		if _, err := c.Seconds(); err != nil {
			t.Fatal(err)
		}
		got, err := Goroutines()
		if err != nil || got[all[0].Name()] != 1 {
			t.Errorf("it has %d goroutines, %v; want 1", got[all[0].Name()], err)
		}
	})
}

// BenchmarkSeconds is what a call costs that reads a profile.
func BenchmarkSeconds(b *testing.B) {
	c := &CPU{shortest: 1}
	defer c.Close()
	for b.Loop() {
		if _, err := c.Seconds(); err != nil {
			b.Fatal(err)
		}
	}
}
