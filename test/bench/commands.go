//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// carried are the binaries in whose place km is.
var carried = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

func (b *bench) measureSize(ctx context.Context) {
	if n, err := megabytes(b.km); err != nil {
		b.results.failed("km", err, "size")
	} else {
		b.results.add("size", "km", n)
	}
	if err := b.buildUpstream(ctx, carried...); err != nil {
		b.results.failed("apart", err, "size")
		return
	}
	var total float64
	for _, name := range carried {
		n, err := megabytes(filepath.Join(b.apart, name))
		if err != nil {
			b.results.failed("apart", err, "size")
			return
		}
		total += n
	}
	b.results.add("size", "apart", total)
}

func megabytes(file string) (float64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, fmt.Errorf("no size: %w", errors.Unwrap(err)) // without the path, which says nothing elsewhere
	}
	return float64(info.Size()) / 1e6, nil
}

// measureCalls calls commands that only print, many times, since each takes a moment only.
func (b *bench) measureCalls(ctx context.Context) {
	type call struct {
		row, side, path, arg string
	}
	calls := []call{{"help", "km", b.km, "--help"}, {"version", "km", b.km, "version"}}
	if err := b.buildUpstream(ctx, "kube-apiserver"); err != nil {
		b.results.failed("apart", err, "help", "version")
	} else {
		server := filepath.Join(b.apart, "kube-apiserver")
		calls = append(calls, call{"help", "apart", server, "--help"}, call{"version", "apart", server, "--version"})
	}
	for range max(20, 4*b.runs) {
		for _, c := range calls {
			if !b.wants(c.row) || ctx.Err() != nil {
				continue
			}
			took, err := timeCommand(ctx, c.path, c.arg)
			if err != nil {
				b.results.failed(c.side, err, c.row)
				continue
			}
			b.results.add(c.row, c.side, took.Seconds())
		}
	}
}

// timeCommand returns how long a command takes that prints something and ends.
func timeCommand(ctx context.Context, path string, args ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	begin := time.Now()
	_, err := output(ctx, exec.CommandContext(ctx, path, args...))
	return time.Since(begin), err
}
