package etcd

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeIn is how much this process can write to the disk of a folder, as far as that is known: what quotas allow is not.
func freeIn(dir string) (free int64, ok bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 {
		return 0, false // some file systems do not say
	}
	blocks := stat.Bavail
	if os.Geteuid() == 0 {
		blocks = stat.Bfree // with what is reserved for root
	}
	return int64(blocks) * stat.Bsize, true
}

// allocated is how much of a file has its place on the disk; 0 if there is none.
func allocated(file string) int64 {
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		return 0
	}
	return stat.Blocks * 512
}

// allocate gives a file its place on the disk up to that size, which it does not get. What cannot be done is left.
func allocate(file string, size int64) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
}
