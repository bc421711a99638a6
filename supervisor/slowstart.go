package supervisor

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// quietStart is how long a server may take to start before it is told that it is still at it, with the lines that are held meanwhile; and
// slowStart is how long it is then from one time to the next. There is no limit: how slow the machine is, and what the server waits for,
// only users know.
const (
	quietStart = 15 * time.Second
	slowStart  = time.Minute
)

// watchStart tells of a start that takes long, until over is called.
func (a *actor) watchStart() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for wait := quietStart; ; wait = slowStart {
			select {
			case <-time.After(wait):
				a.tellStarting()
			case <-ctx.Done():
				return
			}
		}
	}()
	return cancel
}

func (a *actor) tellStarting() {
	a.group.mu.Lock()
	starting, since, tries, last := a.state == Starting, now().Sub(a.since), len(a.failures.times)+1, a.lastErr
	a.group.mu.Unlock()
	if !starting {
		return
	}
	a.log().Settle()       // what was held comes before this
	if a.s.parent != nil { // that one tells
		return
	}
	fields := []zap.Field{zap.Duration("for", since.Round(time.Second)), zap.Int("try", tries)}
	if tries > 1 {
		fields = append(fields, zap.NamedError("failed before", last))
	}
	a.log().Zap().WithOptions(zap.WithCaller(false)).Warn("is still starting", fields...)
}
