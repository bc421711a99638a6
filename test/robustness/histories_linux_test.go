package robustness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Through each fault, what clients are answered is as if their requests were done one after the other, nothing that was acknowledged is
// lost, and watches show each change once, and in order.
func TestHistories(t *testing.T) {
	for _, p := range plans {
		t.Run(p.name, func(t *testing.T) {
			for round := range *rounds {
				seed := *seed + uint64(round)
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { p.play(t, seed) })
			}
		})
	}
}

func (p plan) play(t *testing.T, seed uint64) {
	dir, err := os.MkdirTemp("", "km-r-") // t.TempDir is too long for the sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r := newRun(t, seed, slices.Concat(p.args, uncompacted, strings.Fields(*with))...)
	r.plan = "TestHistories/" + strings.ReplaceAll(p.name, " ", "_")
	r.home, r.pods = home(dir), p.pods
	if p.disk {
		r.disk = newDisk(t, dir)
		r.home = home(r.disk.dir)
	}
	faults := slices.Clone(p.faults)
	r.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		// There is time left to end km, and to keep what explains it.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-30*time.Second))
		defer cancel()
	}
	r.play(ctx, faults)
}

// Each fault that can be injected has its row in the table of faults.
func TestEachFaultHasARow(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{scale}
	for _, p := range plans {
		for _, f := range p.faults {
			names = append(names, f.name)
		}
	}
	for _, name := range names {
		if !strings.Contains(string(readme), "\n| "+name+" | ") {
			t.Errorf("there is no row for %q", name)
		}
	}
}

// writeResults keeps what has been found, if all was as promised.
func writeResults(passed bool) error {
	if *results == "" || !passed {
		return nil
	}
	version, err := exec.Command(binary, "version").Output()
	if err != nil {
		return fmt.Errorf("km version: %w", err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	counts.Lock()
	defer counts.Unlock()
	text, err := json.MarshalIndent(outcome{first, *seed, *rounds, counts.operations, counts.changes, counts.events, counts.faults}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*results, append(text, '\n'), 0o644)
}
