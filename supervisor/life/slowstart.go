package life

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// quietStart is how long a server may take to start before it is told that it is still at it, with the lines that are
// held meanwhile; and slowStart is how long it is then from one time to the next. There is no limit: how slow the
// machine is, and what the server waits for, only users know.
const (
	quietStart = 15 * time.Second
	slowStart  = time.Minute
)

// watchStart settles what the server has said in its start, when that has had its time, and tells of one that takes
// long, until over is called.
func (a *Actor) watchStart() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var look func() // a timer's, as a goroutine for each server would be much where there are many
	look = func() {
		if ctx.Err() != nil {
			return
		}
		a.s.Log.Settle() // also if it is ready, and others are not
		if a.tellStarting() {
			time.AfterFunc(slowStart, look)
		}
	}
	first := time.AfterFunc(quietStart, look)
	return func() {
		cancel()
		first.Stop()
	}
}

// tellStarting tells that the server is still starting; it returns false if it is not.
func (a *Actor) tellStarting() bool {
	a.group.mu.Lock()
	starting, since, tries, last := a.state == Starting, time.Since(a.since), len(a.failures.times)+1, a.lastErr
	a.group.mu.Unlock()
	if !starting || a.group.Nested {
		return starting
	}
	fields := []zap.Field{zap.Duration("for", since.Round(time.Second)), zap.Int("try", tries)}
	if tries > 1 {
		fields = append(fields, zap.NamedError("failed before", last))
	}
	a.s.Log.Zap().WithOptions(zap.WithCaller(false)).Warn("is still starting", fields...)
	return true
}
