package system

import "github.com/KimMachineGun/automemlimit/memlimit"

// MemoryLimit is the smallest limit of the process's cgroup and those around it, in bytes; 0 if there is none, or that
// is not known.
func MemoryLimit() uint64 {
	limit, err := memlimit.FromCgroup()
	if err != nil || limit > 1<<62 {
		return 0
	}
	return limit
}

// HeapLimit is what the runtime may use of a limit: a tenth is left, but not less than what the binary's code, files
// and the stacks of the system take at least, as far as that leaves half.
func HeapLimit(limit uint64) uint64 {
	const others = 64 << 20
	return limit - min(max(limit/10, others), limit/2)
}
