//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is one line of the table. Its target is text for the reader: what is measured is not judged here.
type row struct {
	name   string
	what   string
	unit   string
	target string
	more   bool     // more is better; otherwise less is
	sides  []string // who is measured, km first
}

var (
	alone     = []string{"km"}
	withApart = []string{"km", "apart"}
	libraries = []string{"km", "km, log files", groupAlone, "oklog/run", "suture", "dskit"}
	processes = []string{"km", "km, log files", "oklog/run", "suture", "dskit"}
)

// rows are in the order of the table.
var rows = slices.Concat(plainRows, restartEachRows(), scaleRows())

var plainRows = []row{
	{"pod", "exec → first pod Running, empty state", "s", "≤ 1.5 s", false, withApart},
	{"start-cold", "exec → all servers ready, empty state", "s", "≤ 1.4 s, ≤ 0.14 × apart", false, withApart},
	{"start-warm", "exec → all servers ready, existing state", "s", "≤ 0.8 s, ≤ 0.25 × apart", false, withApart},
	{"stop", "SIGTERM → exit, idle", "s", "≤ 0.25 s", false, withApart},
	{"stop-watches", "SIGTERM → exit, with 50 open watches", "s", "≤ 0.25 s", false, withApart},
	{"rss", "sum of resident memory after 60 s idle", "MB", "≤ 200 MB, ≤ 0.37 × apart", false, withApart},
	{"pss", "the same, shared pages counted once", "MB", "", false, withApart},
	{"idle-cpu", "CPU used in 30 s idle, of one core", "%", "≤ 1.0 %, ≤ 0.25 × apart", false, withApart},
	{"cpu-start", "CPU from exec to 30 s idle, empty state", "s", "≤ 2.8 s", false, withApart},
	{"rate", "1,000 pods on 100 nodes, create → all Running", "pods/s", "≥ 1.3 × apart", true, withApart},
	{"size", "size of the binaries on disk, stripped", "MB", "≤ 0.41 × apart", false, withApart},
	{"help", "--help", "s", "≤ 1.0 × apart", false, withApart},
	{"version", "version", "s", "≤ 1.0 × apart", false, withApart},
	{"klog", "one klog line, beyond zap's own cost", "ns", "≤ 100 ns", false, []string{"km", "klog"}},
	{"klog-allocs", "the same, allocations", "", "0", false, []string{"km", "klog"}},
	{"trivial", "1,000 trivial servers, start → all ready → stopped", "s", "the group alone ≤ suture, ≤ dskit", false, libraries},
	{"trivial-rss", "the same, peak of resident memory", "MB", "", false, processes},
	{"trivial-goroutines", "the same, goroutines when all are ready", "", "", false, libraries},
	{"envtest-start", "envtest's Environment.Start", "s", "≤ 0.35 × apart", false, withApart},
	{"envtest-stop", "envtest's Environment.Stop", "s", "≤ 0.3 × apart", false, withApart},
	{"process-first", "a cluster (apiserver, etcd) in the process of a test, ready", "s", "≤ 1.2 s", false, alone},
	{"process-second", "a second one beside it", "s", "≤ 0.8 s", false, alone},
	{"process-second-memory", "memory more with it", "MB", "≤ 80 MB", false, alone},
	{"lines", "lines of a full run that reach the right server", "%", "100 %", true, alone},
	{"restart", "restart of the scheduler under load → it schedules again", "s", "≤ 0.3 s", false, withApart},
	{"restart-goroutines", "goroutines more after 50 restarts", "", "+0", false, alone},
	{"restart-rss", "resident memory more after 50 restarts", "%", "≤ +5 %", false, alone},
	{"kills", "acknowledged writes lost by kill -9", "", "0", false, alone},
	{"kills-failed", "restarts after it that did not become ready", "", "0", false, alone},
}

// selectRows returns the names of the rows that the flag asks for; all if it is empty. The name of several rows'
// beginning means all of them: "start" is start-cold and start-warm.
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
		before := len(selected)
		for _, candidate := range all {
			if candidate == name || strings.HasPrefix(candidate, name+"-") {
				selected = append(selected, candidate)
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

// wants reports whether one of the rows is to be measured.
func (b *bench) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(b.rows, name) })
}
