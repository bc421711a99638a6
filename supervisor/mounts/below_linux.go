package mounts

import (
	"strings"

	"github.com/moby/sys/mountinfo"
)

// mountsBelow are the paths below a folder at which something is mounted, the deepest first.
func mountsBelow(folder string) (mounts []string, err error) {
	found, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, strings.TrimSuffix(folder, "/")+"/"), false
	})
	for _, m := range found {
		mounts = append([]string{m.Mountpoint}, mounts...)
	}
	return mounts, err
}
