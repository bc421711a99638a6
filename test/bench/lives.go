//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

const (
	idleTime = 30 * time.Second // for CPU time; memory is looked at after twice that
	// before a stop where nothing else waits: controllers go on for a while after all is ready
	settle  = 10 * time.Second
	watches = 50
)

// A cluster's first life, on an empty state, has the rows of coldRows; its second one on the same state those of
// warmRows.
var (
	coldRows = []string{"start-cold", "cpu-start", "idle-cpu", "rss", "pss", "stop"}
	warmRows = []string{"start-warm", "stop-watches"}
	idleRows = []string{"cpu-start", "idle-cpu", "rss", "pss"}
	longRows = []string{"idle-cpu", "rss", "pss"}
)

// lives runs one side from an empty state, and then once more on the state that it has left.
func (b *bench) lives(ctx context.Context, s side, dir string) error {
	if err := b.cold(ctx, s, dir); err != nil {
		return fmt.Errorf("on an empty state: %w", err)
	}
	if !b.wants(warmRows...) {
		return nil
	}
	return b.warm(ctx, s, dir)
}

func (b *bench) cold(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	b.started("start-cold", s, c)
	if b.wants(idleRows...) {
		err = b.idle(ctx, s, c)
	} else {
		err = c.pause(ctx, settle)
	}
	if err != nil {
		return err
	}
	return b.stopped(ctx, "stop", s, c)
}

// idle looks at a cluster that has nothing to do.
func (b *bench) idle(ctx context.Context, s side, c *cluster) error {
	if err := c.pause(ctx, time.Until(c.ready.Add(idleTime))); err != nil {
		return err
	}
	before, err := c.sum((*proc).cpu)
	if err != nil {
		return err
	}
	b.results.add("cpu-start", s.name(), before)
	if !b.wants(longRows...) {
		return nil
	}
	begin := time.Now()
	if err := c.pause(ctx, idleTime); err != nil {
		return err
	}
	after, err := c.sum((*proc).cpu)
	if err != nil {
		return err
	}
	b.results.add("idle-cpu", s.name(), 100*(after-before)/time.Since(begin).Seconds())
	for _, m := range []struct {
		row string
		of  func(*proc) (float64, error)
	}{{"rss", (*proc).rss}, {"pss", (*proc).pss}} {
		n, err := c.sum(m.of)
		if err != nil {
			b.results.failed(s.name(), err, m.row)
			continue
		}
		b.results.add(m.row, s.name(), n)
	}
	return nil
}

// watched are the resources that watches are about, in turn.
var watched = []string{"pods", "services", "configmaps", "secrets", "nodes", "namespaces", "endpoints", "events", "serviceaccounts",
	"persistentvolumes"}

func (b *bench) warm(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	b.started("start-warm", s, c)
	if !b.wants("stop-watches") {
		_, err = c.stop(ctx)
		return err
	}
	if err := c.pause(ctx, settle); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, err := c.watch(watching, watches, io.Discard, func(api rest.Interface, i int) *rest.Request {
		return api.Get().Resource(watched[i%len(watched)])
	})
	if err != nil {
		return err
	}
	if err := c.pause(ctx, time.Second); err != nil {
		return err
	}
	if n := ended.Load(); n > 0 {
		return fmt.Errorf("%d of %d watches have ended before the stop", n, watches)
	}
	return b.stopped(ctx, "stop-watches", s, c)
}

// started notes how long a start took. Where km's own word differs from what is seen from outside, both are told.
func (b *bench) started(row string, s side, c *cluster) {
	took := c.ready.Sub(c.began)
	say("  %s %.2f s", row, took.Seconds())
	b.results.add(row, s.name(), took.Seconds())
	if c.own > 0 && took > c.own+c.own/10 {
		b.results.note("%s: km said that it was ready after %.2f s; seen from outside after %.2f s", row, c.own.Seconds(), took.Seconds())
	}
}

func (b *bench) stopped(ctx context.Context, row string, s side, c *cluster) error {
	took, err := c.stop(ctx)
	if err != nil {
		return err
	}
	say("  %s %.2f s", row, took.Seconds())
	b.results.add(row, s.name(), took.Seconds())
	for _, p := range c.processes() {
		// Upstream's controller manager has no handler for the signal, and etcd sends it to itself at the end.
		if p.err != nil && !p.endedBy(syscall.SIGTERM) && b.wants(row) {
			b.results.note("%s: %s ended with %v after SIGTERM", row, p.name, p.err)
		}
	}
	return nil
}
