package supervisor

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// memoryVariable is how the user says how much memory the process may use. The runtime reads it at its start.
const memoryVariable = "GOMEMLIMIT"

// limitMemory has the runtime collect garbage so that the process stays below the memory limit of its cgroup, where it
// has one and the user says nothing else: without, it lets the heap grow to twice of what is used, whatever the system
// does to the process then. A server in a process of its own does the same by itself: how much of what is there for all
// of them is its share, nobody knows, and one that is given too little would do nothing but collect garbage.
func limitMemory(log *logging.Log) {
	if os.Getenv(memoryVariable) != "" {
		return
	}
	limit := memoryLimit()
	if limit == 0 {
		return
	}
	heap := heapLimit(limit)
	debug.SetMemoryLimit(int64(heap))
	log.Zap().WithOptions(zap.WithCaller(false)).Info("the cgroup has a memory limit, and garbage is collected to stay below it",
		zap.Uint64("limit", limit), zap.Uint64(memoryVariable, heap))
}

// memoryLimit is the smallest limit of the process's cgroup and those around it, in bytes; 0 if there is none, or that
// is not known.
func memoryLimit() uint64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > 1<<62 {
		return 0
	}
	return limit
}

// heapLimit is what the runtime may use of a limit: a tenth is left, but not less than what the binary's code, files
// and the stacks of the system take at least, as far as that leaves half.
func heapLimit(limit uint64) uint64 {
	const others = 64 << 20
	return limit - min(max(limit/10, others), limit/2)
}
