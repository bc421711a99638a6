// Package bare is how package supervisortest asks for a run that leaves the outside alone: of its own, it holds no
// folder, writes no file and opens no socket. Such a run can be in a bubble of testing/synctest, which a socket would
// keep awake; servers with Ports have some, and do.
package bare

import "context"

type key struct{}

// Context returns a ctx in which runs are bare.
func Context(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Is reports whether runs are bare in ctx.
func Is(ctx context.Context) bool { return ctx.Value(key{}) != nil }
