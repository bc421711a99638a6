//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// stage is a part of a run in which a side's cluster lives, in a folder of its own.
type stage struct {
	name string
	rows []string
	run  func(ctx context.Context, s side, dir string) error
}

func (b *bench) stages() []stage {
	return append([]stage{
		{"starts and idle", slices.Concat(coldRows, warmRows), b.lives},
		{"first pod", []string{"pod"}, b.firstPod},
		{"many pods", []string{"rate"}, b.manyPods},
		{"restarts", []string{"restart", "restart-goroutines", "restart-rss"}, b.restarts},
		{"restarts of each", restartRows(), b.restartEach},
		{"kills", []string{"kills", "kills-failed"}, b.killing},
	}, b.growth()...)
}

// servers are the binaries of which the other side's cluster consists.
var servers = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}

// measureClusters runs both sides in turns, so that whatever else the machine does meets both. What goes wrong on one
// side is told in the table; the error is for what makes all measuring impossible.
func (b *bench) measureClusters(ctx context.Context) error {
	sides, err := b.sides(ctx)
	if err != nil {
		return err
	}
	for i := range b.runs {
		b.run = i
		for _, stage := range b.stages() {
			if !b.wants(stage.rows...) {
				continue
			}
			for _, s := range sides {
				if ctx.Err() != nil {
					return nil
				}
				b.turn(ctx, stage, s)
			}
		}
	}
	return nil
}

// turn is one stage of one side in one run.
func (b *bench) turn(ctx context.Context, stage stage, s side) {
	if !slices.ContainsFunc(stage.rows, func(row string) bool { return b.results.figures(row, s.name()) != nil }) {
		return
	}
	say("run %d of %d, %s: %s", b.run+1, b.runs, stage.name, s.name())
	dir := filepath.Join(b.work, fmt.Sprintf("%s-%d", s.name(), b.run))
	defer os.RemoveAll(dir)
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = stage.run(ctx, s, dir)
	}
	if err == nil {
		return
	}
	say("  failed: %v", err)
	// What fails later takes nothing away.
	for _, row := range stage.rows {
		if f := b.results.figures(row, s.name()); f != nil && f.count()+f.Failed <= b.run {
			b.results.failed(s.name(), err, row)
		}
	}
}

// sides prepares both. A first start of km, which is not measured, makes the keys that the other side uses, brings the
// binary into the page cache, and shows whether km's own word for being ready means the same as the check from outside.
func (b *bench) sides(ctx context.Context) ([]side, error) {
	free, err := freePorts()
	if err != nil {
		return nil, err
	}
	k := &km{binary: b.km, ports: free}
	dir := filepath.Join(b.work, "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	say("a first start, not measured")
	c, outside, err := k.compareReady(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("km does not start: %w", err)
	}
	defer c.end()
	if own := c.own; outside > own+own/10 || own > outside+outside/10 {
		b.results.note("first start: km said that it was ready after %.2f s; asked all the time from outside, it was after %.2f s",
			own.Seconds(), outside.Seconds())
	}
	if _, err := c.stop(ctx); err != nil {
		return nil, err
	}
	a, err := newApart(b.apart, k.data(dir), free)
	if err == nil {
		err = b.buildUpstream(ctx, servers...)
	}
	if err != nil {
		for _, stage := range b.stages() {
			b.results.failed("apart", err, stage.rows...)
		}
		return []side{k}, nil
	}
	return []side{k, a}, nil
}
