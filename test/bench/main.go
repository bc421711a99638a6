//go:build unix

// Command bench measures km against its peers, on the same machine, in turns: against the same servers as separate
// processes, and against other libraries that run several servers in one process. `make bench` runs it. It prints a
// table and writes it as JSON; it judges nothing, and no test depends on it: on a busy machine the numbers are worse,
// and that must not make a build fail.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Everything that is waited for has an end.
const (
	startLimit   = 2 * time.Minute  // a cluster's start, without its nodes
	nodeLimit    = time.Second / 5  // more for each node
	stopLimit    = 90 * time.Second // upstream waits up to a minute for open watches
	commandLimit = 30 * time.Second // a command that prints something and ends
)

type settings struct {
	km    string
	apart string
	out   string
	rows  []string
	runs  int
	kills int
	seed  uint64
	limit time.Duration
}

func main() {
	// What clients log about servers that are not there yet, or not any more, is no news here.
	klog.SetLogger(logr.Discard())
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
	fs.StringVar(&s.apart, "apart", filepath.Join("bin", "apart"),
		"`folder` for upstream's binaries, which are built if they are not there or out of date")
	fs.StringVar(&names, "row", "", "measure these rows only: `names`, separated by commas; "+
		"\"start\" means all whose names begin with \"start-\"")
	fs.IntVar(&s.runs, "runs", 5, "how often each side is measured")
	fs.IntVar(&s.kills, "kills", 20, "how often km is killed in a run")
	fs.Uint64Var(&s.seed, "seed", 0, "of the moments when km is killed; 0 is another one each time")
	fs.StringVar(&s.out, "out", "", "`file` for the results (default: "+everything+", or "+some+" with -row)")
	fs.DurationVar(&s.limit, "timeout", 3*time.Hour, "give up after this time")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if s.runs < 1 || s.kills < 1 {
		return s, fmt.Errorf("-runs %d -kills %d: at least one of each is needed", s.runs, s.kills)
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if s.out == "" {
		s.out = everything
		if names != "" {
			s.out = some
		}
	}
	var err error
	if s.rows, err = selectRows(names); err != nil {
		return s, err
	}
	if s.km, err = filepath.Abs(s.km); err != nil {
		return s, err
	}
	s.apart, err = filepath.Abs(s.apart)
	return s, err
}

// Results of all rows are kept with the sources, those of some are not.
var (
	everything = filepath.Join("test", "bench", "results.json")
	some       = filepath.Join("bin", "bench.json")
)

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

	b := &bench{settings: s, work: work, built: map[string]bool{}, ones: map[string]use{}, results: newResults(s.rows, work)}
	// The binary goes by its name: one that is called otherwise takes that for the name of a server.
	b.km = filepath.Join(work, "km")
	if err := os.Symlink(s.km, b.km); err != nil {
		return err
	}
	b.results.Machine = describeMachine()
	if b.results.Machine.KM, err = b.version(ctx); err != nil {
		return fmt.Errorf("%w; build it with `make build`, or name another with -km", err)
	}
	if pagesOut() && b.wants("rss", "pss", "restart-rss") {
		b.results.note("the kernel pages out what is idle (DAMON): resident memory is less than on most machines, and grows again when pages are used")
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stopped before all was measured, nothing is written: %w", context.Cause(ctx))
	}
	b.results.finish(s.runs)
	b.results.print(os.Stdout)
	return b.results.write(s.out)
}

// part measures some rows for which no cluster is needed.
type part struct {
	what string
	rows []string
	run  func(ctx context.Context)
}

func (b *bench) parts() []part {
	return []part{
		{"sizes", []string{"size"}, b.measureSize},
		{"calls", []string{"help", "version"}, b.measureCalls},
		{"log lines", []string{"klog", "klog-allocs"}, b.measureLine},
		{"trivial servers", trivialRows, b.measureTrivial},
		{"envtest", []string{"envtest-start", "envtest-stop"}, b.measureEnvtest},
		{"clusters in a test's process", []string{"process-first", "process-second", "process-second-memory"}, b.measureInProcess},
		{"lines of a full run", []string{"lines"}, b.measureLines},
	}
}

// measure measures the rows that are selected. What cannot be measured is told in the table; the error is for what
// makes all measuring impossible.
func (b *bench) measure(ctx context.Context) error {
	for _, part := range b.parts() {
		if b.wants(part.rows...) && ctx.Err() == nil {
			say("%s", part.what)
			part.run(ctx)
		}
	}
	if slices.ContainsFunc(b.stages(), func(s stage) bool { return b.wants(s.rows...) }) && ctx.Err() == nil {
		return b.measureClusters(ctx)
	}
	return nil
}

// bench is one call of the program.
type bench struct {
	settings
	work    string          // temporary folder, all else is in it
	run     int             // the turn that both sides have now, from 0
	built   map[string]bool // upstream's binaries that are up to date
	ones    map[string]use  // of a cluster with one node, by side and run
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
