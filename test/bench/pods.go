//go:build unix

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	manyPods    = 1000
	manyNodes   = 100
	connections = 4
	workers     = 4 // that use one connection
	podLimit    = 5 * time.Minute
)

// firstPod measures the time from the start of a cluster on an empty state until a pod is Running. The pod is made as
// soon as the API takes it.
func (b *bench) firstPod(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, podLimit)
	defer cancel()
	type result struct {
		at  time.Time
		err error
	}
	found := make(chan result, 1)
	go func() {
		at, err := makeFirstPod(ctx, s.access(dir))
		found <- result{at, err}
	}()
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		cancel()
		<-found
		return err
	}
	defer c.end()
	r := <-found
	if r.err != nil {
		return r.err
	}
	took := r.at.Sub(c.began)
	say("  pod %.2f s", took.Seconds())
	b.results.add("pod", s.name(), took.Seconds())
	_, err = c.stop(ctx)
	return err
}

// makeFirstPod asks every 10 ms for a pod, from before the API is there on, and returns when it was Running.
func makeFirstPod(ctx context.Context, a access) (time.Time, error) {
	var c *client
	for {
		var err error
		if c == nil {
			c, err = a.connect() // the keys may not be there yet
		}
		if err == nil {
			if err = c.makePod(ctx, "first"); err == nil {
				break
			}
		}
		if over := sleep(ctx, 10*time.Millisecond); over != nil {
			return time.Time{}, fmt.Errorf("%w; last answer: %w", over, err)
		}
	}
	defer c.close()
	if err := c.running(ctx, 1); err != nil {
		return time.Time{}, fmt.Errorf("the first pod does not become Running: %w", err)
	}
	return time.Now(), nil
}

// manyPods measures how many pods a second get from their creation to Running.
func (b *bench) manyPods(ctx context.Context, s side, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, podLimit)
	defer cancel()
	c, err := s.launch(ctx, dir, manyNodes)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.client.nodes(ctx, manyNodes, true); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	if err := c.pause(ctx, settle); err != nil {
		return err
	}
	begin := time.Now()
	var g errgroup.Group
	g.Go(func() error { return c.client.running(ctx, manyPods) })
	g.Go(func() error { return c.makePods(ctx, 0, manyPods) })
	if err := g.Wait(); err != nil {
		return err
	}
	rate := manyPods / time.Since(begin).Seconds()
	say("  rate %.0f pods/s", rate)
	b.results.add("rate", s.name(), rate)
	_, err = c.stop(ctx)
	return err
}

// makePods makes the pods of these numbers over a few connections.
func (c *cluster) makePods(ctx context.Context, from, to int) error {
	numbers := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for range connections {
		connection, err := c.connect()
		if err != nil {
			return err
		}
		defer connection.close()
		for range workers {
			g.Go(func() error {
				for i := range numbers {
					if err := connection.makePod(ctx, fmt.Sprintf("pod-%d", i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	g.Go(func() error {
		defer close(numbers)
		for i := from; i < to; i++ {
			select {
			case numbers <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return g.Wait()
}
