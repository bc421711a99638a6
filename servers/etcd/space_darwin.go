package etcd

import "golang.org/x/sys/unix"

// freeIn is how much this process can write to the disk of a folder, as far as that is known: what quotas allow is not.
func freeIn(dir string) (free int64, ok bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 {
		return 0, false // some file systems do not say
	}
	return int64(stat.Bavail) * int64(stat.Bsize), true
}

// allocated is how much of a file has its place on the disk; 0 if there is none.
func allocated(file string) int64 {
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		return 0
	}
	return stat.Blocks * 512
}

// allocate does nothing: here a file gets its place as it grows.
func allocate(string, int64) {}
