package supervisor

import (
	"context"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// idleSlack is how much later than they ask for timers may run in a process whose servers are ready. Servers have
// hundreds of them, most of them for something that happens every second or so: the fewer times the process wakes for
// several at once, the less it uses when there is nothing to do. What comes in from outside is not delayed, nor are
// timers while there is something to do.
const idleSlack = 50 * time.Millisecond

// relax has the system wake the process for several timers at once, from the time when it may rest until the servers
// are to stop.
func (r *run) relax(ctx context.Context) {
	if !r.mayRest(ctx) {
		return
	}
	defer system.RaiseTimerSlack(idleSlack)()
	r.group.AwaitClosing(ctx)
}

// mayRest waits until it is known how the start has gone. It reports false if ctx ends before, and if what holds for
// the whole process is to be left alone: it is somebody else's, or has a command, which would inherit it and is to have
// all of the processor.
func (r *run) mayRest(ctx context.Context) bool {
	if r.plan.Embedded || r.job != nil {
		return false
	}
	select {
	case <-r.began.over:
		return true
	case <-ctx.Done():
		return false
	}
}
