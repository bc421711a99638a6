package supervisor

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/meter"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

const (
	// settleTime is how long a process has to rest until it is taken to go on resting. Servers that are ready still do
	// for a while what belongs to their start.
	settleTime = 5 * time.Second
	// working and resting are what a process uses of one CPU that works, and that rests. In between it may be either.
	working, resting = 0.5, 0.25
)

// freeMemory returns to the system what the process does not use. It collects all garbage first, which takes about 2 ms
// of CPU time for each megabyte that is in use: 0.2 s after a start.
func freeMemory() {
	debug.FreeOSMemory()
	system.DropBinary()
}

// giveBack returns to the system the memory that only the start has needed, and again each time that the process rests
// after work, until ctx ends.
func (r *run) giveBack(ctx context.Context) {
	if r.mayRest(ctx) {
		freeAtRest(ctx, meter.ProcessSeconds, freeMemory)
	}
}

// freeAtRest calls free each time that the process, which has used so many cpuSeconds, rests after work: the runtime
// would keep memory for as much garbage as there was then. It is called once for each such time, so that a process that
// uses memory evenly does not collect garbage more often for it. What was before is work.
func freeAtRest(ctx context.Context, cpuSeconds func() float64, free func()) {
	ticker := time.NewTicker(settleTime)
	defer ticker.Stop()
	worked, used := true, cpuSeconds()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := cpuSeconds()
		load := (now - used) / settleTime.Seconds()
		used = now
		switch {
		case load >= working:
			worked = true
		case load <= resting && worked:
			free()
			worked, used = false, cpuSeconds() // without what this has taken
		}
	}
}
