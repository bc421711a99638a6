//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	idleTime = 30 * time.Second // for CPU time; memory is looked at after twice that
	settle   = 10 * time.Second // before a stop where nothing else waits: controllers go on for a while after all is ready
	watches  = 50
)

// measureClusters runs both sides in turns, so that whatever else the machine does meets both. What goes wrong on one side
// is told in the table; the error is for what makes all measuring impossible.
func (b *bench) measureClusters(ctx context.Context) error {
	sides, err := b.sides(ctx)
	if err != nil {
		return err
	}
	for i := range b.runs {
		b.run = i
		for _, s := range sides {
			if ctx.Err() != nil {
				return nil
			}
			say("run %d of %d: %s", i+1, b.runs, s.name())
			b.lives(ctx, s, filepath.Join(b.work, fmt.Sprintf("%s-%d", s.name(), i)))
		}
	}
	return nil
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
	b.results.Check = readyCheck{OwnLine: c.own.Seconds(), FromOutside: outside.Seconds()}
	if _, err := c.stop(ctx); err != nil {
		return nil, err
	}
	binaries := b.apart
	if binaries == "" {
		binaries = filepath.Join(b.work, "links")
		if err := b.link(ctx, binaries); err != nil {
			return nil, err
		}
	}
	return []side{k, &apart{binaries: binaries, keys: filepath.Join(dir, "data"), ports: free}}, nil
}

// link makes km's soft links.
func (b *bench) link(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if text, err := exec.CommandContext(ctx, b.km, "--make-symlinks", "--dir", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("km --make-symlinks: %w: %s", err, text)
	}
	return nil
}

// lives runs one side from an empty state, and then once more on the state that it has left.
func (b *bench) lives(ctx context.Context, s side, dir string) {
	defer os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.missed(s, err, append(coldRows, warmRows...)...)
		return
	}
	if err := b.cold(ctx, s, dir); err != nil {
		say("  failed: %v", err)
		b.missed(s, err, coldRows...)
		b.missed(s, fmt.Errorf("the run that makes the state has failed"), warmRows...)
		return
	}
	if b.wants(warmRows...) {
		if err := b.warm(ctx, s, dir); err != nil {
			say("  failed: %v", err)
			b.missed(s, err, warmRows...)
		}
	}
}

// missed notes for rows why they have no sample of this run, unless they have one: what fails later takes nothing away.
func (b *bench) missed(s side, err error, names ...string) {
	for _, name := range names {
		if f := b.results.figures(name, s.name()); f != nil && len(f.Samples)+f.Failed <= b.run {
			b.results.failed(s.name(), err, name)
		}
	}
}

func (b *bench) cold(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir)
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
	for _, m := range []struct{ row, file, field string }{{"rss", "status", "VmRSS"}, {"pss", "smaps_rollup", "Pss"}} {
		n, err := c.sum(func(p *proc) (float64, error) { return p.memory(m.file, m.field) })
		if err != nil {
			b.results.failed(s.name(), err, m.row)
			continue
		}
		b.results.add(m.row, s.name(), n)
	}
	return nil
}

func (b *bench) warm(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir)
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
	if err := c.watch(watching, watches); err != nil {
		return err
	}
	if err := c.pause(ctx, time.Second); err != nil {
		return err
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
