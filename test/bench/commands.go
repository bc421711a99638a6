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

// binaries are what the other side consists of.
var binaries = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

var errLinks = errors.New("the other side are soft links to km; name a folder with binaries of their own with -apart")

func (b *bench) measureSize() {
	if !b.wants("size") {
		return
	}
	if n, err := megabytes(b.km); err != nil {
		b.results.failed("km", err, "size")
	} else {
		b.results.add("size", "km", n)
	}
	if b.apart == "" {
		b.results.failed("apart", errLinks, "size")
		return
	}
	var total float64
	for _, name := range binaries {
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

// measureHelp calls commands that only print, many times, since each takes a moment only.
func (b *bench) measureHelp(ctx context.Context) {
	times := max(20, 4*b.runs)
	calls := []struct {
		row, side, path string
		args            []string
	}{
		{"help", "km", b.km, []string{"--help"}},
		{"version", "km", b.km, []string{"version"}},
	}
	for _, row := range []string{"help", "version"} {
		if b.apart == "" {
			b.results.failed("apart", errLinks, row)
		}
	}
	if b.apart != "" {
		server := filepath.Join(b.apart, "kube-apiserver")
		calls = append(calls, calls[0], calls[1])
		calls[2].side, calls[2].path = "apart", server
		calls[3].side, calls[3].path, calls[3].args = "apart", server, []string{"--version"}
	}
	for range times {
		for _, c := range calls {
			if !b.wants(c.row) || ctx.Err() != nil {
				continue
			}
			took, err := timeCommand(ctx, c.path, c.args...)
			if err != nil {
				b.results.failed(c.side, err, c.row)
				continue
			}
			b.results.add(c.row, c.side, took.Seconds())
		}
	}
}

func timeCommand(ctx context.Context, path string, args ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	begin := time.Now()
	err := exec.CommandContext(ctx, path, args...).Run()
	return time.Since(begin), err
}
