// Package suites runs suites of other projects, as they are, on km's symlinks instead of upstream's binaries of etcd,
// kube-apiserver and kubectl. KM names km's binary; without it, it is bin/km of this checkout, which `make build`
// makes.
package suites

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// How long a suite may run. It is no expectation of speed: the longest one takes two minutes on two cores. A suite
// prints the stacks of its goroutines at the first limit, and is killed at the second.
const (
	patience = 15 * time.Minute
	killed   = patience + time.Minute
)

var (
	results = flag.String("results", "", "file that keeps versions, and the counts of suites that passed")
	keepIn  = flag.String("kept", "../../bin/failed/suites", "folder for what suites that failed have printed")

	temp string // folder for links, and for what suites write

	// interrupted ends when somebody wants the tests to end: what they have started is to end with them.
	interrupted context.Context
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	interrupted = ctx
	if err := findBinary(); err != nil {
		return 0, err
	}
	if temp, err = os.MkdirTemp("", "km-suites-"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	unlock, err := ownWork()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := makeLinks(); err != nil {
		return 0, err
	}
	code = m.Run()
	finished.print(os.Stdout)
	if *results != "" {
		err = finished.keep(*results)
	}
	return code, err
}
