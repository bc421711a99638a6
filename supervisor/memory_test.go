package supervisor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is returned when what belongs to the start is over, and when later work is, once each time.
func TestFreeAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used, freed atomic.Int64 // thousandths of seconds; times
		go freeAtRest(t.Context(), func() float64 { return float64(used.Load()) / 1000 }, func() { freed.Add(1) })
		synctest.Wait()
		for _, step := range []struct {
			what string
			cpus []int64 // thousandths, in one settleTime after the other
			want int64
		}{
			{"when they have settled", []int64{0}, 1},
			{"later", []int64{0, 0, 0}, 1},
			{"after a little work", []int64{400, 100}, 1},
			{"while they work", []int64{600, 2000}, 1},
			{"while they work less", []int64{400, 300}, 1},
			{"when they rest", []int64{200}, 2},
			{"while they rest", []int64{200, 0}, 2},
			{"after more work", []int64{1000, 0}, 3},
			{"while they work all the time", []int64{1000, 1000, 1000}, 3},
		} {
			for _, cpus := range step.cpus {
				used.Add(cpus * int64(settleTime/time.Second))
				time.Sleep(settleTime)
				synctest.Wait()
			}
			if n := freed.Load(); n != step.want {
				t.Errorf("%s: memory has been returned %d times, want %d", step.what, n, step.want)
			}
		}
	})
}

// The first time is when all have been ready for a while, and not before.
func TestFreeAtRestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		freed := make(chan time.Duration, 100)
		go freeAtRest(t.Context(), func() float64 { return 0 }, func() { freed <- time.Since(begin) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if first := <-freed; first != settleTime || len(freed) > 0 {
			t.Errorf("the first time was after %v, and %d followed", first, len(freed))
		}
	})
}

// Memory is not looked at before all are ready, and never where it is not the run's own, or a command is at work.
func TestGiveBack(t *testing.T) {
	for name, r := range map[string]*run{"embedded": {plan: &Plan{Embedded: true}}, "with a command": {plan: &Plan{}, foreground: &foreground{}}} {
		synctest.Test(t, func(t *testing.T) {
			r.began = newBeginning()
			close(r.began.over)
			r.giveBack(t.Context()) // it returns
			if r.mayRest(t.Context()) {
				t.Errorf("%s: it may rest", name)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := &run{plan: &Plan{}, began: newBeginning()}
		may := make(chan bool, 1)
		go func() { may <- r.mayRest(t.Context()) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(may) > 0 {
			t.Error("it may rest before all are ready")
		}
		close(r.began.over)
		if !<-may {
			t.Error("it may not rest when all are ready")
		}
	})
}
