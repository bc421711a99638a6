package machines

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Cgroup is the name of the cgroups of a host of NewNodes: no other one has it.
func (h *Host) Cgroup() string { return filepath.Base(h.Dir) }

// makeCgroups makes those of the host, and returns what is to be mounted where. They are below those of the real
// machine, and all that a kubelet sees: it removes those of pods that it does not know.
func (h *Host) makeCgroups() (mounts []string, err error) {
	above, err := cgroupMounts()
	if err != nil {
		return nil, err
	}
	for _, real := range above {
		own := filepath.Join(real, h.Cgroup())
		if err := removeCgroup(own); err != nil { // it is there when the host was on before
			return nil, err
		}
		if err := os.Mkdir(own, 0o755); err != nil {
			return nil, err
		}
		delegate(real, own)
		mounts = append(mounts, own, real)
	}
	return mounts, nil
}

// removeCgroups removes those of the host, on which nothing runs any more.
func (h *Host) removeCgroups() error {
	above, err := cgroupMounts()
	for _, real := range above {
		err = errors.Join(err, removeCgroup(filepath.Join(real, h.Cgroup())))
	}
	return err
}

// cgroupMounts are where cgroups are mounted: one place in version 2, one for each controller in version 1.
func cgroupMounts() (found []string, err error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter("/sys/fs/cgroup"))
	for _, m := range mounts {
		if m.FSType == "cgroup" || m.FSType == "cgroup2" {
			found = append(found, m.Mountpoint)
		}
	}
	return found, err
}

// delegate has a cgroup below another one control what that one does. What there is to do depends on the version: the
// others' files are not there, or have been written.
func delegate(above, below string) {
	controllers, _ := os.ReadFile(filepath.Join(above, "cgroup.controllers"))
	for _, name := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(above, "cgroup.subtree_control"), []byte("+"+name), 0)
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} { // nothing runs in a set without them
		if value, err := os.ReadFile(filepath.Join(above, name)); err == nil {
			_ = os.WriteFile(filepath.Join(below, name), value, 0)
		}
	}
}

// removeCgroup removes one with those in it.
func removeCgroup(folder string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(interval) { // the last process may not have left it yet
		var folders []string
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		slices.Reverse(folders)
		for _, f := range folders {
			_ = unix.Rmdir(f) // the kernel removes none with a process in it
		}
		if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("%s is there after %v (%v)", folder, patience, err)
		}
	}
}
