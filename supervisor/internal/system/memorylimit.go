package system

import "github.com/KimMachineGun/automemlimit/memlimit"

// MemoryLimit is the smallest limit of the process's cgroup and those around it, in bytes; 0 if there is none, or it is
// unknown.
func MemoryLimit() uint64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > 1<<62 {
		return 0
	}
	return limit
}

// HeapLimit is what the runtime may use of a limit. It leaves a tenth, or more if the binary's code, files and the
// stacks of the system need that, but at most half.
func HeapLimit(limit uint64) uint64 {
	const others = 64 << 20
	return limit - min(max(limit/10, others), limit/2)
}
