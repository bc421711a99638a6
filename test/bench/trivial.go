//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// trivials are programs that each start a thousand trivial servers by a framework, wait until all are ready, and stop
// them. The peers keep no logs, so km is compared without log files; with them, which is its default, it stands beside.
var trivials = []struct {
	side    string
	module  string // folder of the module
	program string // package in it
	args    []string
}{
	{"km", ".", "./test/bench/trivial", nil},
	{"km, log files", ".", "./test/bench/trivial", []string{"-files"}},
	{"oklog/run", "test/bench/peers", "./oklogrun", nil},
	{"suture", "test/bench/peers", "./suture", nil},
	{"dskit", "test/bench/peers", "./dskit", nil},
}

var trivialRows = []string{"trivial", "trivial-rss", "trivial-goroutines"}

// measureTrivial runs them in turns, each in a process of its own.
func (b *bench) measureTrivial(ctx context.Context) {
	programs := map[string]string{}
	for _, t := range trivials {
		path := filepath.Join(b.work, "trivial-"+filepath.Base(t.program))
		cmd := goCommand(ctx, "build", "-o", path, t.program)
		cmd.Dir = t.module
		if _, err := output(ctx, cmd); err != nil {
			b.results.failed(t.side, err, trivialRows...)
			continue
		}
		programs[t.side] = path
	}
	group := filepath.Join(b.work, "group.test")
	if _, err := output(ctx, goCommand(ctx, "test", "-c", "-o", group, "./supervisor/internal/life")); err != nil {
		b.results.failed(groupAlone, err, "trivial", "trivial-goroutines")
		group = ""
	}
	for range max(10, 2*b.runs) {
		if group != "" && ctx.Err() == nil {
			b.measureGroup(ctx, group)
		}
		for _, t := range trivials {
			if programs[t.side] == "" || ctx.Err() != nil {
				continue
			}
			if err := b.trivial(ctx, t.side, programs[t.side], t.args...); err != nil {
				b.results.failed(t.side, err, trivialRows...)
			}
		}
	}
}

// groupAlone is the side of km's life cycle by itself: no flags, no logs, no data folder, no admin API, as the peers.
const groupAlone = "km, the group alone"

// measureGroup runs the benchmark of the package that has the life cycle, which nobody outside can import.
func (b *bench) measureGroup(ctx context.Context, test string) {
	all, err := b.runOnce(ctx, test, "BenchmarkGroup")
	found := all["BenchmarkGroup"]
	if err == nil && found == nil {
		err = errors.New("there is no BenchmarkGroup in supervisor/internal/life")
	}
	if err != nil {
		b.results.failed(groupAlone, err, "trivial", "trivial-goroutines")
		return
	}
	b.results.add("trivial", groupAlone, found["s"])
	b.results.add("trivial-goroutines", groupAlone, found["goroutines"])
}

func (b *bench) trivial(ctx context.Context, side, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = b.work, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var measured struct{ Seconds, Goroutines float64 }
	var peak float64
	if err = json.NewDecoder(stdout).Decode(&measured); err == nil {
		// What the kernel tells at the end of a process may be the peak of the one that started it. So it waits until
		// it was asked.
		peak, err = memory(cmd.Process.Pid, "status", "VmHWM")
	}
	stdin.Close()
	if ended := cmd.Wait(); ended != nil {
		return ended
	}
	if err != nil {
		return err
	}
	b.results.add("trivial", side, measured.Seconds)
	b.results.add("trivial-goroutines", side, measured.Goroutines)
	b.results.add("trivial-rss", side, peak)
	return nil
}
