package supervisor

import (
	"context"
	"time"
)

// idleSlack is how much later than they ask for timers may run in a process whose servers are ready. Servers have hundreds of them, most
// of them for something that happens every second or so: the fewer times the process wakes for several at once, the less it uses when
// there is nothing to do. What comes in from outside is not delayed, nor are timers while there is something to do.
const idleSlack = 50 * time.Millisecond

// relax has the system wake the process for several timers at once, from the time when all servers are ready until they are to stop.
// A process that is somebody else's is left alone, and so is one with a command, which would inherit it.
func (p *Plan) relax(ctx context.Context, g *group) {
	if p.Embedded || p.job != nil {
		return
	}
	select {
	case <-p.began.over:
	case <-ctx.Done():
		return
	}
	defer raiseTimerSlack(idleSlack)()
	g.until(ctx, func() bool { return g.closing })
}
