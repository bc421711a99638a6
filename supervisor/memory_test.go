package supervisor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countFree returns how often memory has been returned from now on.
func countFree(t *testing.T) *atomic.Int32 {
	usual := freeMemory
	t.Cleanup(func() { freeMemory = usual })
	n := &atomic.Int32{}
	freeMemory = func() { n.Add(1) }
	return n
}

// Nothing is done during the start; memory is returned when what belongs to it is over, and when later work is, once
// each time.
func TestGiveBack(t *testing.T) {
	freed, usual := countFree(t), cpuSeconds
	t.Cleanup(func() { cpuSeconds = usual })
	var used float64 // written while nobody else runs
	cpuSeconds = func() float64 { return used }
	synctest.Test(t, func(t *testing.T) {
		r := &run{plan: &Plan{}, began: newBeginning()}
		go r.giveBack(t.Context())
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		use := func(cpus float64) {
			used += cpus * settleTime.Seconds()
			wait(settleTime)
		}
		for _, step := range []struct {
			what string
			do   func()
			want int32
		}{
			{"before all are ready", func() { wait(time.Hour) }, 0},
			{"when all are ready", func() { close(r.began.over); wait(0) }, 0},
			{"while they settle", func() { wait(settleTime - 1) }, 0},
			{"when they have settled", func() { wait(1) }, 1},
			{"later", func() { wait(time.Hour) }, 1},
			{"after a little work", func() { use(0.4); use(0.1) }, 1},
			{"while they work", func() { use(0.6); use(2) }, 1},
			{"while they work less", func() { use(0.4); use(0.3) }, 1},
			{"when they rest", func() { use(0.2) }, 2},
			{"while they rest", func() { use(0.2); use(0) }, 2},
			{"after more work", func() { use(1); use(0) }, 3},
		} {
			step.do()
			if n := freed.Load(); n != step.want {
				t.Errorf("%s: memory has been returned %d times, want %d", step.what, n, step.want)
			}
		}
	})
}

// What is used from the start until they rest is work.
func TestGiveBackAfterALongStart(t *testing.T) {
	freed, usual := countFree(t), cpuSeconds
	t.Cleanup(func() { cpuSeconds = usual })
	var used atomic.Int64
	cpuSeconds = func() float64 { return float64(used.Add(5)) } // one CPU, always
	synctest.Test(t, func(t *testing.T) {
		r := &run{plan: &Plan{}, began: newBeginning()}
		close(r.began.over)
		go r.giveBack(t.Context())
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := freed.Load(); n != 0 {
			t.Errorf("memory has been returned %d times to a system that needs the time", n)
		}
	})
}

// What is not the run's own, or is busy, is left alone.
func TestGiveBackNothing(t *testing.T) {
	for name, r := range map[string]*run{"embedded": {plan: &Plan{Embedded: true}}, "with a command": {plan: &Plan{}, foreground: &foreground{}}} {
		freed := countFree(t)
		synctest.Test(t, func(t *testing.T) {
			r.began = newBeginning()
			close(r.began.over)
			r.giveBack(t.Context())
		})
		if freed.Load() != 0 {
			t.Errorf("%s: memory has been returned", name)
		}
	}
}
