package crash

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// MemoryKills is how many processes the system has killed because memory was short, up to a certain time.
type MemoryKills struct {
	Boot     string `json:"boot,omitempty"` // of the system, which counts from its boot; empty if unknown
	System   int    `json:"system"`         // all of them
	InCgroup int    `json:"inCgroup"`       // those of the process's cgroup
	File     string `json:"file,omitempty"` // that has InCgroup; empty if there is none
	Limit    uint64 `json:"limit,omitempty"`
}

// CountKills counts the kills on this machine up to now.
func CountKills() MemoryKills { return countKills(thisMachine()) }

// Reason says why a process that was killed after this count was probably killed; empty if it was not for its memory,
// as far as is known.
func (before MemoryKills) Reason() string { return before.since(thisMachine()) }

// countKills is CountKills for a machine with these files.
func countKills(machine fs.FS) MemoryKills {
	k := MemoryKills{Boot: strings.TrimSpace(textOf(machine, "proc/sys/kernel/random/boot_id")), Limit: system.MemoryLimit()}
	k.System, _ = counter(machine, "proc/vmstat")
	for _, file := range killFiles(textOf(machine, "proc/self/cgroup")) {
		if n, ok := counter(machine, file); ok {
			k.InCgroup, k.File = n, file
			break
		}
	}
	return k
}

// thisMachine are the files of this machine.
func thisMachine() fs.FS { return os.DirFS("/") }

// killFiles are the files that may have the number of killed processes of a cgroup, in version 1 or 2 of cgroups. A
// container may see its own cgroup as the root.
func killFiles(cgroups string) (files []string) {
	const mounted = "sys/fs/cgroup"
	for line := range strings.Lines(cgroups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		switch {
		case slices.Contains(strings.Split(part[1], ","), "memory"):
			dir := mounted + "/memory"
			files = append([]string{under(dir, part[2]) + "/memory.oom_control", dir + "/memory.oom_control"}, files...)
		case part[0] == "0":
			files = append(files, under(mounted, part[2])+"/memory.events", mounted+"/memory.events")
		}
	}
	return files
}

func under(dir, path string) string { return strings.TrimSuffix(dir+"/"+strings.Trim(path, "/"), "/") }

// counter is the number behind the word oom_kill in a file.
func counter(machine fs.FS, file string) (int, bool) {
	for line := range strings.Lines(textOf(machine, file)) {
		if field := strings.Fields(line); len(field) == 2 && field[0] == "oom_kill" {
			n, err := strconv.Atoi(field[1])
			return n, err == nil
		}
	}
	return 0, false
}

func textOf(machine fs.FS, file string) string {
	text, _ := fs.ReadFile(machine, file) // without it nothing is known
	return string(text)
}

// since is Reason for a machine with these files.
func (before MemoryKills) since(machine fs.FS) string {
	now := countKills(machine)
	if now.Boot != before.Boot {
		return ""
	}
	limit := ""
	if before.Limit > 0 {
		limit = fmt.Sprintf(" (%d MiB)", before.Limit>>20)
	}
	const way = "; give it more, or less to do"
	if n, ok := counter(machine, before.File); ok && before.File != "" && n > before.InCgroup {
		if before.Limit == 0 {
			return "it was probably killed because memory was short" + way
		}
		return "it was probably killed because the memory limit of its cgroup" + limit + " was reached" + way
	}
	if now.System <= before.System {
		return ""
	}
	if before.Limit > 0 {
		limit = ", and the limit of its cgroup was " + strings.Trim(limit, " ()")
	}
	killed := now.System - before.System
	processes := "processes"
	if killed == 1 {
		processes = "process"
	}
	return fmt.Sprintf("it was perhaps killed because memory was short: the system has killed %d %s since then%s%s",
		killed, processes, limit, way)
}
