package supervisor

import (
	"os"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// memoryVariable is how the user says how much memory the process may use. The runtime reads it at its start.
const memoryVariable = "GOMEMLIMIT"

// MemoryLimit is how many bytes of memory the cgroup of this process, or one around it, allows; 0 if that is not
// limited, or unknown.
func MemoryLimit() uint64 { return system.MemoryLimit() }

// limitMemory has the runtime collect garbage so that the process stays below the memory limit of its cgroup, if there
// is one and the user says nothing else. Otherwise the heap grows to twice of what is used, even if the system kills
// the process for it. A server in a process of its own takes the whole limit, too: its share of it is unknown, and with
// too small a share it would do nothing but collect garbage.
func limitMemory(log *logging.Log) {
	if os.Getenv(memoryVariable) != "" {
		return
	}
	limit := MemoryLimit()
	if limit == 0 {
		return
	}
	heap := system.HeapLimit(limit)
	debug.SetMemoryLimit(int64(heap))
	log.Zap().WithOptions(zap.WithCaller(false)).Info("the cgroup has a memory limit, and garbage is collected to stay below it",
		zap.Uint64("limit", limit), zap.Uint64(memoryVariable, heap))
}
