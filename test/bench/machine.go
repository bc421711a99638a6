//go:build unix

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is where and when numbers come from. Without it they mean nothing.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MemoryMB   int    `json:"memoryMB"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"` // that built the bench; km tells its own
	KM         string `json:"km"`
	Date       string `json:"date"`
	LoadBefore string `json:"loadBefore"` // what else the machine did: load average of the last minute
	LoadAfter  string `json:"loadAfter"`
}

func describeMachine() machine {
	m := machine{
		CPU:        field("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		Kernel:     firstLine("/proc/sys/kernel/osrelease"),
		Go:         runtime.Version(),
		Date:       time.Now().UTC().Format(time.RFC3339),
		LoadBefore: load(),
	}
	m.MemoryMB = int(machineMemory() / 1e6)
	return m
}

// machineMemory is in bytes; 0 where it is not known.
func machineMemory() int64 {
	kB, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	return kB * 1024
}

// pagesOut reports whether the kernel takes pages of files from memory when nobody has used them for a while (DAMON),
// though there is room: what is idle takes less resident memory then than elsewhere.
func pagesOut() bool {
	states, _ := filepath.Glob("/sys/kernel/mm/damon/admin/kdamonds/*/state")
	return slices.ContainsFunc(states, func(file string) bool { return firstLine(file) == "on" })
}

func load() string {
	minute, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return minute
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// field is the value in the first line of "name: value" with that name.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
