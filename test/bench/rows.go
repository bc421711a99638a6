//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is one line of the table. Its target is text for the reader: what is measured is not judged here.
type row struct {
	name    string
	what    string
	unit    string
	target  string
	cluster bool // a cluster has to be started for it
}

// rows are in the order of the table.
var rows = []row{
	{"start-cold", "exec → all servers ready, empty state", "s", "≤ 2.0 s", true},
	{"start-warm", "exec → all servers ready, existing state", "s", "≤ 1.5 s", true},
	{"stop", "SIGTERM → exit, idle", "s", "≤ 0.5 s", true},
	{"stop-watches", "SIGTERM → exit, with 50 open watches", "s", "≤ 1.5 s", true},
	{"rss", "sum of resident memory after 60 s idle", "MB", "≤ 270 MB, ≤ 0.45 × apart", true},
	{"pss", "the same, shared pages counted once", "MB", "", true},
	{"idle-cpu", "CPU used in 30 s idle, of one core", "%", "≤ 1.5 %, ≤ 0.5 × apart", true},
	{"cpu-start", "CPU from exec to 30 s idle, empty state", "s", "≤ 2.5 s", true},
	{"size", "size of the binary on disk", "MB", "≤ 0.38 × apart", false},
	{"help", "km --help", "s", "≤ 0.05 s", false},
	{"version", "km version", "s", "≤ 0.05 s", false},
}

// unmeasured are targets that no row stands for yet.
var unmeasured = []unmeasuredRow{
	{"exec → first pod Running, empty state, one simulated node", "≤ 3.0 s, ≤ 0.33 × apart", "the benchmark starts no pods yet"},
	{"1,000 pods on 100 simulated nodes, create → all Running", "≥ 1.3 × apart's rate", "the benchmark starts no pods yet"},
	{"one klog line to its server's logger", "≤ 100 ns, no allocation", "is a Go benchmark: go test -run=- -bench=. ./logging/..."},
	{"1,000 trivial servers, start → all ready → stopped", "faster than suture and dskit/services", "needs a Go benchmark beside those two libraries"},
	{"lines of a full run that reach the right server", "100 %", "is a test: TestEachLineIsItsServers in test/e2e"},
	{"restart of the scheduler under load, in process", "≤ 0.5 s", "km has no way to restart one server from outside yet"},
	{"kill -9 while writing, 100 times", "no acknowledged write lost", "needs a writer that remembers what was acknowledged"},
}

// coldRows are measured in a cluster's first life, warmRows in its second one on the same state.
var (
	coldRows = []string{"start-cold", "cpu-start", "idle-cpu", "rss", "pss", "stop"}
	warmRows = []string{"start-warm", "stop-watches"}
	idleRows = []string{"cpu-start", "idle-cpu", "rss", "pss"}
	longRows = []string{"idle-cpu", "rss", "pss"}
)

// selectRows returns the names of the rows that the flag asks for; all if it is empty.
func selectRows(flag string) ([]string, error) {
	var all, selected []string
	for _, r := range rows {
		all = append(all, r.name)
	}
	for name := range strings.SplitSeq(flag, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if slices.Contains(all, name) {
			selected = append(selected, name)
			continue
		}
		before := len(selected)
		for _, other := range all {
			if strings.HasPrefix(other, name+"-") {
				selected = append(selected, other)
			}
		}
		if len(selected) == before {
			return nil, fmt.Errorf("-row: there is no row %q; choose from %s", name, strings.Join(all, ", "))
		}
	}
	if len(selected) == 0 {
		return all, nil
	}
	return selected, nil
}

func needsCluster(name string) bool {
	return slices.ContainsFunc(rows, func(r row) bool { return r.name == name && r.cluster })
}

// wants reports whether one of the rows is to be measured.
func (b *bench) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(b.rows, name) })
}
