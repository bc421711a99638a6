package robustness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// keep keeps what explains a failure, and says where.
func (r *run) keep() {
	t := r.t
	dir := filepath.Join(*kept, fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), r.seed))
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)) // there may be one of the last time
	write := func(name string, what any) {
		text, encodeErr := json.MarshalIndent(what, "", " ")
		err = errors.Join(err, encodeErr, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	write("operations.json", r.all)
	write("watches.json", r.sessions)
	write("history.json", r.history)
	write("faults.json", map[string]any{"seed": r.seed, "faults": r.injected, "errors": r.errors})
	outputs := r.outputs
	if r.process != nil {
		outputs = append(slices.Clone(outputs), r.process.String())
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "km.txt"), []byte(strings.Join(outputs, "\n--- the next start\n")), 0o644))
	if text, readErr := os.ReadFile(r.drawing); readErr == nil {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "history.html"), text, 0o644))
	}
	if r.stacks != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "tests.stacks"), []byte(r.stacks), 0o644))
	}
	// What of the disk cannot be read any more is not kept.
	if copyErr := os.CopyFS(filepath.Join(dir, "logs"), os.DirFS(filepath.Join(r.home.dataDir(), "logs"))); copyErr != nil {
		t.Logf("the logs are not whole: %v", copyErr)
	}
	t.Logf("%swhat explains it is kept in %s (%v)", tell(filepath.Join(dir, "logs")), dir, err)
}

// counts are of the runs that held what was promised.
var counts struct {
	sync.Mutex
	faults                      map[string]int
	operations, changes, events int
}

func count(faults []string, operations, changes, events int) {
	counts.Lock()
	defer counts.Unlock()
	if counts.faults == nil {
		counts.faults = map[string]int{}
	}
	for _, f := range faults {
		counts.faults[f]++
	}
	counts.operations, counts.changes, counts.events = counts.operations+operations, counts.changes+changes, counts.events+events
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
