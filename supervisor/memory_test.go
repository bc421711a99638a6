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

// Nothing is done during the start; memory is returned when what belongs to it is over, and once.
func TestGiveBack(t *testing.T) {
	freed := countFree(t)
	synctest.Test(t, func(t *testing.T) {
		r := &run{plan: &Plan{}, began: newBeginning()}
		go r.giveBack(t.Context())
		for _, step := range []struct {
			what string
			do   func()
			want int32
		}{
			{"before all are ready", func() { time.Sleep(time.Hour) }, 0},
			{"when all are ready", func() { close(r.began.over) }, 0},
			{"before they have settled", func() { time.Sleep(settleTime - 1) }, 0},
			{"when they have settled", func() { time.Sleep(time.Nanosecond) }, 1},
			{"later", func() { time.Sleep(time.Hour) }, 1},
		} {
			step.do()
			synctest.Wait()
			if n := freed.Load(); n != step.want {
				t.Errorf("%s: memory has been returned %d times, want %d", step.what, n, step.want)
			}
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
