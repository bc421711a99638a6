package etcd

import (
	"os"

	"golang.org/x/sys/windows"
)

// freeIn is how much this process can write to the disk of a folder, as far as that is known.
func freeIn(dir string) (free int64, ok bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var available, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(path, &available, &all, &unused); err != nil || all == 0 {
		return 0, false
	}
	return int64(available), true
}

// allocated is how much of a file has its place on the disk; 0 if there is none. NTFS gives it to all of the file, as
// soon as that has its size.
func allocated(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// allocate does nothing: here a file gets its place as it grows.
func allocate(string, int64) {}
