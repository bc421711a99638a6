//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"
)

// km is the side of `km run`: one process.
type km struct {
	binary string
	ports  ports
}

func (k *km) name() string { return "km" }

func (k *km) data(dir string) string { return filepath.Join(dir, "data") }

func (k *km) access(dir string) access {
	return access{pki: filepath.Join(k.data(dir), "pki"), apiserver: "https://" + address(k.ports.apiserver)}
}

// launch waits for km's own word first and asks from outside then: the earlier no question costs the servers time. What
// counts is the answer from outside, as for the other side.
func (k *km) launch(ctx context.Context, dir string, nodes int) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit+time.Duration(nodes)*nodeLimit)
	defer cancel()
	c, line, err := k.start(dir, nodes)
	if err != nil {
		return nil, err
	}
	if err := c.awaitLine(ctx, line); err != nil {
		c.end()
		return nil, err
	}
	if err := c.awaitAll(ctx, nodes); err != nil {
		c.end()
		return nil, fmt.Errorf("km says that it is ready, and it is not: %w", err)
	}
	return c, nil
}

// compareReady starts a cluster once and asks from outside all the time, to see what km's own word is worth. The
// questions cost time, so this run is not one of those that are measured.
func (k *km) compareReady(ctx context.Context, dir string) (c *cluster, outside time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c, line, err := k.start(dir, 1)
	if err != nil {
		return nil, 0, err
	}
	if err = c.awaitAll(ctx, 1); err == nil {
		outside = c.ready.Sub(c.began)
		err = c.awaitLine(ctx, line)
	}
	if err != nil {
		c.end()
		return nil, 0, err
	}
	return c, outside, nil
}

func (k *km) start(dir string, nodes int) (*cluster, *lineTimer, error) {
	data := k.data(dir)
	line := newLineTimer("km: ready after", filepath.Join(dir, "km-stdout.log"))
	// The data folder is one that stays: with --ephemeral, etcd would not wait for the disk, and the comparison would
	// not be fair. The keys are made in the first run, which the other side does not have to do.
	p, err := startProc("km", k.binary, dir, line, "run",
		"--data-dir", data,
		"--free-ports", // for what is not named
		"--apiserver.secure-port", strconv.Itoa(k.ports.apiserver),
		"--controller-manager.secure-port", strconv.Itoa(k.ports.controllerManager),
		"--scheduler.secure-port", strconv.Itoa(k.ports.scheduler),
		"--executor.nodes", strconv.Itoa(nodes))
	if err != nil {
		return nil, nil, err
	}
	c := &cluster{access: k.access(dir), ports: k.ports, began: p.began, steps: [][]*proc{{p}}}
	c.restartScheduler = func(ctx context.Context) error {
		_, err := timeCommand(ctx, k.binary, "--data-dir", data, "restart", "scheduler")
		return err
	}
	c.admin = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(data, "km.sock"))
	}}}
	return c, line, nil
}

// ask gets something of km's own API.
func (c *cluster) ask(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	return get(ctx, c.admin, "http://km"+path)
}

// awaitLine waits until km says that all is ready.
func (c *cluster) awaitLine(ctx context.Context, line *lineTimer) error {
	p := c.steps[0][0]
	select {
	case at := <-line.seen:
		c.own = at.Sub(c.began)
		return nil
	case <-p.done:
		return fmt.Errorf("km has ended: %w", p.failure())
	case <-ctx.Done():
		return fmt.Errorf("km does not become ready: %w", context.Cause(ctx))
	}
}
