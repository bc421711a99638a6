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
// of CPU time for each megabyte that is in use: 0.2 s after a start. Tests replace it.
var freeMemory = func() {
	debug.FreeOSMemory()
	system.DropBinary()
}

// cpuSeconds is what the process has used so far. Tests replace it.
var cpuSeconds = meter.ProcessSeconds

// giveBack returns to the system the memory that only the start has needed, and again each time that the process rests
// after work: the runtime would keep it for as much garbage as there was then. It is done once for each such time, so
// that a process that uses memory evenly does not collect garbage more often for it.
func (r *run) giveBack(ctx context.Context) {
	if !r.mayRest(ctx) {
		return
	}
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
			freeMemory()
			worked, used = false, cpuSeconds() // without what this has taken
		}
	}
}
