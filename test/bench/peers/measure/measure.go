// Package measure is what the programs of the peers have in common: a thousand trivial servers are started, ready and
// stopped.
package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"
)

// Servers is how many there are.
const Servers = 1000

// Trivial is the server: it says that it runs, and blocks until ctx ends.
type Trivial struct{ running *sync.WaitGroup }

// Run is the server's life.
func (t Trivial) Run(ctx context.Context) error {
	t.running.Done()
	<-ctx.Done()
	return nil
}

// Main calls start, which starts as many of the servers as Servers says and waits until all are ready as far as the
// library can tell, then waits until all run, and calls stop, which start returned and which waits until all have
// ended. It prints what that took as JSON, and ends with its standard input.
func Main(start func(Trivial) (stop func() error, err error)) {
	if err := run(start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(start func(Trivial) (func() error, error)) error {
	begin := time.Now()
	var running sync.WaitGroup
	running.Add(Servers)
	stop, err := start(Trivial{&running})
	if err != nil {
		return err
	}
	running.Wait()
	goroutines := runtime.NumGoroutine()
	if err := stop(); err != nil {
		return err
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": time.Since(begin).Seconds(), "goroutines": goroutines})
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever measures its memory has done so
	return err
}
