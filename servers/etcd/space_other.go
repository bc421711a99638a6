//go:build !linux && !darwin && !windows

package etcd

// freeIn is how much this process can write to the disk of a folder, where that is known.
func freeIn(string) (free int64, ok bool) { return 0, false }

// allocated is how much of a file has its place on the disk.
func allocated(string) int64 { return 0 }

// allocate gives a file its place on the disk.
func allocate(string, int64) {}
