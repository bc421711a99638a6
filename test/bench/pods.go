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
	rate, err := c.podRate(ctx, 0, manyPods)
	if err != nil {
		return err
	}
	say("  rate %.0f pods/s", rate)
	b.results.add("rate", s.name(), rate)
	_, err = c.stop(ctx)
	return err
}

// podRate makes the pods of these numbers, and returns how many a second get from their creation to Running. Those with
// lower numbers are there.
func (c *cluster) podRate(ctx context.Context, from, to int) (float64, error) {
	begin := time.Now()
	var g errgroup.Group
	g.Go(func() error { return c.client.running(ctx, to) })
	g.Go(func() error {
		return c.makeMany(ctx, to-from, func(ctx context.Context, connection *client, i int) error {
			return connection.makePod(ctx, fmt.Sprintf("pod-%d", from+i))
		})
	})
	err := g.Wait()
	return float64(to-from) / time.Since(begin).Seconds(), err
}

// makeMany makes n of something over a few connections.
func (c *cluster) makeMany(ctx context.Context, n int, make func(ctx context.Context, connection *client, i int) error) error {
	var all []*client
	for range connections {
		connection, err := c.connect()
		if err != nil {
			return err
		}
		defer connection.close()
		all = append(all, connection)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(connections * workers)
	for i := range n {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return make(ctx, all[i%len(all)], i)
		})
	}
	return g.Wait()
}
