//go:build unix

// Command bench measures km against the same servers as separate processes, on the same machine, in turns. `make bench`
// runs it. It prints a table and writes it as JSON; it judges nothing, and no test depends on it: on a busy machine the
// numbers are worse, and that must not make a build fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Everything that is waited for has an end.
const (
	startLimit   = 2 * time.Minute  // a cluster's start
	stopLimit    = 90 * time.Second // upstream waits up to a minute for open watches
	commandLimit = 30 * time.Second // a command that prints something and ends
)

type settings struct {
	km    string
	apart string
	out   string
	rows  []string
	runs  int
	limit time.Duration
}

func main() {
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (settings, error) {
	var s settings
	var names string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&s.km, "km", filepath.Join("bin", "km"), "the `binary` to measure")
	fs.StringVar(&s.apart, "apart", "", "`folder` with etcd, kube-apiserver, kube-controller-manager and kube-scheduler to compare with; "+
		"without it they are soft links to km")
	fs.StringVar(&names, "row", "", "measure these rows only: `names`, separated by commas; \"start\" means all whose names begin with \"start-\"")
	fs.IntVar(&s.runs, "runs", 5, "how often each side is measured")
	fs.StringVar(&s.out, "out", filepath.Join("test", "bench", "results.json"), "`file` for the results")
	fs.DurationVar(&s.limit, "timeout", time.Hour, "give up after this time")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if s.runs < 1 {
		return s, fmt.Errorf("-runs %d: at least one is needed", s.runs)
	}
	var err error
	if s.rows, err = selectRows(names); err != nil {
		return s, err
	}
	if s.km, err = filepath.Abs(s.km); err != nil {
		return s, err
	}
	if s.apart != "" {
		s.apart, err = filepath.Abs(s.apart)
	}
	return s, err
}

// run measures, and leaves neither processes nor folders behind, however it ends: whoever starts something defers its
// end, and a signal to the bench only ends the context.
func run(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()

	work, err := os.MkdirTemp("", "km-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	b := &bench{settings: s, work: work, results: newResults(s.rows, work)}
	// The binary goes by its name: one that is called otherwise takes that for the name of a server.
	b.km = filepath.Join(work, "km")
	if err := os.Symlink(s.km, b.km); err != nil {
		return err
	}
	b.results.Machine = describeMachine()
	if b.results.Machine.KM, err = b.version(ctx); err != nil {
		return fmt.Errorf("%w; build it with `make build`, or name another with -km", err)
	}
	b.measureSize()
	b.measureHelp(ctx)
	if slices.ContainsFunc(s.rows, needsCluster) {
		err = b.measureClusters(ctx)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stopped before all was measured, nothing is written: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	b.results.finish(s.runs, s.apart != "")
	b.results.print(os.Stdout)
	return b.results.write(s.out)
}

// bench is one call of the program.
type bench struct {
	settings
	work    string // temporary folder, all else is in it
	run     int    // the turn that both sides have now, from 0
	results *results
}

// say tells on standard error what goes on: all rows take many minutes.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// version is what `km version` prints, on one line.
func (b *bench) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	text, err := exec.CommandContext(ctx, b.km, "version").Output()
	if err != nil {
		return "", fmt.Errorf("km version: %w", err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(text)), "\n"), ", "), nil
}
