package life

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
)

// BenchmarkGroup starts a thousand trivial servers, waits until all are ready and run, and stops them.
func BenchmarkGroup(b *testing.B) {
	const n = 1000
	for range b.N {
		var running sync.WaitGroup
		running.Add(n)
		servers := make([]Server, n)
		for i := range servers {
			servers[i] = Server{
				Name: fmt.Sprint("server-", i),
				Run: func(ctx context.Context) error {
					running.Done()
					<-ctx.Done()
					return nil
				},
				Ready: func(context.Context) error { return nil },
			}
		}
		g := NewGroup(servers...)
		signals := make(chan os.Signal, 1)
		ended := make(chan error, 1)
		go func() { ended <- g.Run(signals) }()
		for _, a := range g.Actors() {
			if !a.Await(b.Context(), Ready) {
				b.Fatal(b.Context().Err())
			}
		}
		running.Wait()
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		signals <- os.Interrupt
		close(signals)
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
}
