package robustness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errHang is in the error of what has not happened within patience. Whoever judges such an error keeps the stacks of
// all who may be what was waited for.
var errHang = fmt.Errorf("not within %v", patience)

// quitLimit is how long a process that has been told to print its stacks has for it.
const quitLimit = 20 * time.Second

// await waits until the channel is closed. What closes it must have been started before.
func await(ctx context.Context, what string, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("%s: %w", what, errHang)
	}
}

// progress waits until there are as many as wanted, however long that takes, as long as there are more now and then. An
// error may pass: the servers of a busy machine do not answer all that they are asked.
func progress(ctx context.Context, p *process, what string, want int, f func(context.Context) (int, error)) error {
	most, since := 0, time.Now()
	for {
		one, cancel := context.WithTimeout(ctx, patience)
		now, err := f(one)
		cancel()
		switch {
		case err == nil && now >= want:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && now > most:
			most, since = now, time.Now()
		case time.Since(since) > patience:
			return errors.Join(fmt.Errorf("%s: %d of %d, and no more: %w", what, most, want, errHang), err)
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s: km ended with exit code %d", what, p.code)
		case <-time.After(time.Second):
		}
	}
}

// quit has km and its children print their stacks, which are among what km has printed, and end.
func (p *process) quit() {
	for _, pid := range append(childrenOf(p.cmd.Process.Pid), p.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGQUIT) // it may have ended
	}
	select {
	case <-p.done:
	case <-time.After(quitLimit):
	}
}

// childrenOf are the processes that a process has started, and theirs.
func childrenOf(parent int) (found []int) {
	entries, _ := os.ReadDir("/proc") // without it, only the process itself is told
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat")) // it may have ended
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			found = append(append(found, childrenOf(pid)...), pid)
		}
	}
	return found
}

// failed tells of what ended a run. If that is a hang, the stacks of all are kept.
func (r *run) failed(err error) {
	r.t.Helper()
	r.t.Errorf("seed %d, after %s: %v", r.seed, strings.Join(r.injected, ", "), err)
	if !errors.Is(err, errHang) && !errors.Is(err, context.DeadlineExceeded) { // the suite's
		return
	}
	var own bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&own, 2); err != nil {
		r.t.Error(err)
	}
	r.stacks = own.String()
	if r.process != nil {
		r.process.quit()
	}
}

// logged is a line of a log file.
type logged struct {
	text                       string
	Server, Logger, Level, Msg string
}

// shown is how many lines of a log somebody may want to read at once.
const shown = 20

// tell says which servers have failed, with the last lines of their logs before that; without one that failed, how far
// each has come, with the last of what they complain of.
func tell(folder string) string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.log")) // what cannot be read says nothing
	// Those of a server in the order of their time: only those before have it in their name.
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(-cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	servers := map[string][]logged{}
	var names []string
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			l := logged{text: line}
			if json.Unmarshal([]byte(line), &l) != nil || l.Server == "" {
				continue
			}
			if servers[l.Server] == nil {
				names = append(names, l.Server)
			}
			servers[l.Server] = append(servers[l.Server], l)
		}
	}
	slices.Sort(names)
	var failures, states strings.Builder
	var complaints []string
	for _, name := range names {
		var state, failure string
		before := 0 // how many lines there are until the failure
		for i, l := range servers[name] {
			switch {
			case l.Logger == "km" && l.Msg == "failed":
				state, failure, before = l.Msg, l.text, i
			case l.Logger == "km":
				state = l.Msg
			}
			if l.Level != "info" && l.Level != "debug" {
				complaints = append(complaints, l.text)
			}
		}
		fmt.Fprintf(&states, "%s: %s\n", name, state)
		if failure == "" {
			continue
		}
		fmt.Fprintf(&failures, "%s failed: %sthe last lines of its log before that:\n", name, failure)
		for _, l := range last(servers[name][:before]) {
			failures.WriteString(l.text)
		}
	}
	if failures.Len() > 0 {
		return failures.String()
	}
	slices.Sort(complaints) // a line begins with its time
	return states.String() + strings.Join(last(complaints), "")
}

func last[T any](all []T) []T { return all[max(0, len(all)-shown):] }
