package robustness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Through each fault, what clients are answered is as if their requests were done one after the other, nothing that
// was acknowledged is lost, and watches show each change once, and in order.
func TestHistories(t *testing.T) {
	t.Parallel()
	for _, p := range plans {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for round := range *rounds {
				seed := *seed + uint64(round)
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { p.play(t, seed) })
			}
		})
	}
}

// A km whose disk comes back as it was some time before is not taken for right: this is the judge on a real run, as
// TestJudge is on made-up ones.
func TestLostWritesAreSeen(t *testing.T) {
	t.Parallel()
	p := plan{args: []string{"etcd,apiserver"}, disk: true}
	r, ctx := p.run(t, *seed)
	r.blind = true // a watch from a revision that is not there any more would wait for it
	defer r.end()
	image, then := r.disk.image, r.disk.image+".then"
	copied := func(from, to string) func(context.Context, *run) error {
		return func(ctx context.Context, r *run) error {
			if err := errors.Join(r.process.kill(), r.disk.unmount(ctx)); err != nil {
				return err
			}
			if out, err := exec.Command("cp", "--sparse=always", from, to).CombinedOutput(); err != nil {
				return fmt.Errorf("cp: %w\n%s", err, out)
			}
			return errors.Join(r.disk.mount(), r.again(ctx))
		}
	}
	err := r.drive(ctx, []fault{{"the disk is copied", copied(image, then)}, {"the disk is that of before", copied(then, image)}})
	if errors.Is(err, errHang) {
		r.failed(err)
	}
	if err == nil || !strings.Contains(err.Error(), "a write is lost") {
		t.Errorf("seed %d: a lost write is missing in: %v", *seed, err)
	}
}

func (p plan) play(t *testing.T, seed uint64) {
	r, ctx := p.run(t, seed)
	faults := slices.Clone(p.faults)
	r.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	r.play(ctx, faults)
}

// run is one of the plan's, that has not been started. Its context leaves time to end km, and to keep what explains it.
func (p plan) run(t *testing.T, seed uint64) (*run, context.Context) {
	t.Helper()
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
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-30*time.Second))
		t.Cleanup(cancel)
	}
	return r, ctx
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
