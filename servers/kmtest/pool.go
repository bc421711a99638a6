package kmtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// Pool has the next cluster ready while a test runs, for tests that each need one of their own:
//
//	var pool = kmtest.Pool{Config: kmtest.Config{Servers: []string{"apiserver"}}}
//
//	func TestMain(m *testing.M) { kmtest.Main(m, nil) }
//
//	func TestOne(t *testing.T) {
//		cluster := pool.Start(t)
//		…
//	}
//
// The first test waits for its cluster as with Start, those that follow for none, if they take longer than a start. It
// costs the memory of those that wait, which is that of one cluster each; the time of a processor that a start takes,
// during a test instead of before it; and at the end those that nobody has taken are stopped. Main stops them.
//
// With Config.LogToTest a test shows what is logged from the time on when it has the cluster.
type Pool struct {
	Config Config
	// Ready is how many wait, or are being started. Default: 1. More are of use to tests that run in parallel.
	Ready int

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	cancel  context.CancelCauseFunc
	waiting []chan *pooled // each gets one
}

// pooled is a cluster, or why there is none.
type pooled struct {
	cluster *Cluster
	screen  *screen
	err     error
}

// Start returns a cluster of the pool that is ready, for this test alone. It is stopped when the test ends. What goes
// wrong, also later, is an error of the test.
func (p *Pool) Start(t testing.TB) *Cluster {
	t.Helper()
	next, err := p.take()
	if err != nil {
		t.Fatalf("no cluster: %v", err)
	}
	ctx, cancel := withDeadline(t.Context(), t)
	defer cancel()
	select {
	case got := <-next:
		if got.err != nil {
			t.Fatalf("no cluster: %v\n%s", got.err, got.screen.text())
		}
		p.fill()
		got.screen.to(t, p.Config.LogToTest)
		got.cluster.endWith(t, p.Config, got.screen)
		if err := got.cluster.Err(); err != nil { // while it waited
			t.Fatalf("no cluster: %v\n%s", err, got.screen.text())
		}
		return got.cluster
	case <-ctx.Done():
		p.giveBack(next)
		t.Fatalf("no cluster: %v", context.Cause(ctx))
	}
	panic("not reached")
}

// errUnwanted is why a start is given up when all tests have ended: nobody wants to know more of it.
var errUnwanted = errors.New("the tests have ended")

// take takes one out of those that wait.
func (p *Pool) take() (chan *pooled, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil {
		if err := atEnd(p); err != nil {
			return nil, err
		}
		p.ctx, p.cancel = context.WithCancelCause(context.Background())
	}
	if len(p.waiting) == 0 {
		p.begin()
	}
	next := p.waiting[0]
	p.waiting = p.waiting[1:]
	return next, nil
}

// fill has others started for those that have been taken.
func (p *Pool) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) < max(1, p.Ready) {
		p.begin()
	}
}

// begin has a cluster started.
func (p *Pool) begin() {
	started := make(chan *pooled, 1)
	p.waiting = append(p.waiting, started)
	ctx := p.ctx
	go func() {
		got := &pooled{screen: &screen{}}
		got.cluster, got.err = start(ctx, p.Config, "pool", got.screen)
		started <- got
	}()
}

func (p *Pool) giveBack(next chan *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append([]chan *pooled{next}, p.waiting...)
}

// end stops those that nobody has taken.
func (p *Pool) end(bool) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel(errUnwanted) // those that are being started
	for _, started := range p.waiting {
		got := <-started
		if got.cluster == nil {
			continue // nobody was to have it
		}
		if stopErr := got.cluster.Stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("a cluster of the pool: %w\n%s", stopErr, got.screen.text()))
		}
		_, logsErr := got.cluster.logs.settle(false, "")
		err = errors.Join(err, logsErr)
	}
	p.waiting = nil
	return err
}
