package supervisor

import (
	"context"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// idleSlack is how late timers may run in a process whose servers are ready. Servers have hundreds of timers, most of
// them for something that happens every second or so: if the process wakes once for several of them, it uses less when
// there is nothing to do. What comes from outside is not delayed, nor are timers while there is something to do.
const idleSlack = 50 * time.Millisecond

// relax has the system wake the process for several timers at once, from when it may rest until the servers are to
// stop.
func (r *run) relax(ctx context.Context) {
	if !r.mayRest(ctx) {
		return
	}
	defer system.RaiseTimerSlack(idleSlack)()
	r.group.AwaitClosing(ctx)
}

// mayRest waits until it is known how the start has gone. It reports false if ctx ends before, and if settings of the
// whole process must be left alone: the process is somebody else's, or a command would inherit them, which is to run at
// full speed.
func (r *run) mayRest(ctx context.Context) bool {
	if r.plan.Embedded || r.foreground != nil {
		return false
	}
	select {
	case <-r.began.over:
		return true
	case <-ctx.Done():
		return false
	}
}
