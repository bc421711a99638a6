package life

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// quietStart is how long a server may take to start before people are told that it is still starting, and shown the
// lines that were held; slowStart is the time until each further time. There is no limit: only users know how slow the
// machine is, and what the server waits for.
const (
	quietStart = 15 * time.Second
	slowStart  = time.Minute
)

// watchStart settles the server's log after quietStart, and then tells again and again that the start takes long, until
// over is called.
func (a *Actor) watchStart() (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var look func() // called by a timer: a goroutine for each server would be much where there are many
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
