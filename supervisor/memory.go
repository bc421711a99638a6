package supervisor

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// settleTime is how long servers that are ready still do what belongs to their start.
const settleTime = 5 * time.Second

// freeMemory returns to the system what the process does not use. It collects all garbage first, which takes about 0.2
// s of CPU time. Tests replace it.
var freeMemory = func() {
	debug.FreeOSMemory()
	system.DropBinary()
}

// giveBack returns to the system the memory that only the start has needed: the runtime would keep it for as much
// garbage as the start has made.
func (r *run) giveBack(ctx context.Context) {
	if !r.mayRest(ctx) {
		return
	}
	select {
	case <-time.After(settleTime):
		freeMemory()
	case <-ctx.Done():
	}
}
