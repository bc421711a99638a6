package cri

import (
	"fmt"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// maxOpenFiles is the limit that this process has already.
func maxOpenFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0 // upstream's default
	}
	return int64(limit.Max)
}

// unmountSelf undoes that the kubelet may have mounted its folder on itself, which it does where the file system around
// it does not tell containers of new mounts. The kubelet has files open there until the process ends.
func unmountSelf(dir string) error {
	points, err := mount.New("").List()
	if err != nil {
		return err
	}
	for _, p := range points {
		if p.Path != dir {
			continue
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("%s cannot be unmounted: %w", dir, err)
		}
	}
	return nil
}
