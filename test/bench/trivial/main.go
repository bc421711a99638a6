// Command trivial starts a thousand trivial servers by km's supervisor, waits until all are ready, and stops them. It
// prints what that took as JSON. The programs below ../peers do the same with other libraries.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/seed-200a7251/km/supervisor"
)

const servers = 1000

var files = flag.Bool("files", false, "have a log file for each server, as there is by default")

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "trivial:", err)
		os.Exit(1)
	}
}

func run() error {
	begin := time.Now()
	hk := &supervisor.HyperKube{Name: "trivial"}
	hk.SetOut(os.Stderr) // standard output is for the measurement
	var running sync.WaitGroup
	running.Add(servers)
	for i := range servers {
		hk.AddServer(&supervisor.Server{
			SimpleUsage: fmt.Sprintf("server-%d", i),
			Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
				running.Done()
				<-ctx.Done()
				return nil
			},
			Ready: func(context.Context, *supervisor.Server) error { return nil },
		})
	}
	args := []string{"--ephemeral", "--quiet"}
	for _, s := range hk.Servers() {
		if !*files {
			args = append(args, "--"+s.Name()+".log-file=none")
		}
	}
	all, err := hk.Start(context.Background(), args...)
	if err != nil {
		return err
	}
	running.Wait()
	goroutines := runtime.NumGoroutine()
	if err := all.Stop(); err != nil {
		return err
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": time.Since(begin).Seconds(), "goroutines": goroutines})
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever measures its memory has done so
	return err
}
