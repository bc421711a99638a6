//go:build !linux

package simulated

// machineMemory is a usual size: this system has no simple way to tell it.
func machineMemory() (int64, error) { return 16 << 30, nil }
