// Command oklogrun measures github.com/oklog/run.
package main

import (
	"context"

	"github.com/oklog/run"

	"github.com/seed-200a7251/km/test/bench/peers/measure"
)

func main() {
	measure.Main(func(server measure.Trivial) (func() error, error) {
		var group run.Group
		for range measure.Servers {
			ctx, cancel := context.WithCancel(context.Background())
			group.Add(func() error { return server.Run(ctx) }, func(error) { cancel() })
		}
		// The group stops when its first actor returns.
		ctx, stop := context.WithCancel(context.Background())
		group.Add(func() error { <-ctx.Done(); return nil }, func(error) { stop() })
		ended := make(chan error, 1)
		go func() { ended <- group.Run() }()
		return func() error { stop(); return <-ended }, nil
	})
}
