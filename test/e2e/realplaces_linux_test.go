package e2e

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A kubelet takes some places of its machine for its own, whatever its flags are. Two that shared them would end each
// other's pods.

// ownFolders are fixed upstream: the socket for device plugins, which a kubelet that starts removes; links to logs;
// what CNI notes of pods.
var ownFolders = []string{"/var/lib/kubelet", "/var/log/containers", "/var/lib/cni"}

// ownSettings are the kernel's that a kubelet changes.
var ownSettings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// ownPlaces makes what the machine has in those places, and returns what is to be mounted where: first what, then
// where. The cgroups are below those of the real machine, and all that a kubelet sees: it removes those of pods that it
// does not know.
func (n *realNode) ownPlaces(t *testing.T) (mounts []string) {
	t.Helper()
	for _, folder := range ownFolders {
		if err := os.MkdirAll(n.path("places", folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		mounts = append(mounts, n.path("places", folder), folder)
	}
	for _, name := range ownSettings {
		real := filepath.Join("/proc/sys", name)
		if value, err := os.ReadFile(real); err == nil { // not every kernel has all
			mounts = append(mounts, writeFile(t, n.path("places", real), string(value)), real)
		}
	}
	for _, real := range cgroupMounts(t) {
		own := filepath.Join(real, n.name)
		if err := os.Mkdir(own, 0o755); err != nil {
			t.Fatal(err)
		}
		delegate(real, own)
		mounts = append(mounts, own, real)
	}
	return mounts
}

// mountTable is what the process sees mounted, each line in its fields (proc_pid_mountinfo(5)).
func mountTable(t *testing.T, process string) (table [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", process, "mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(string(text)) {
		table = append(table, strings.Fields(line))
	}
	return table
}

// cgroupMounts are where cgroups are mounted: one place in version 2, one for each controller in version 1.
func cgroupMounts(t *testing.T) (found []string) {
	t.Helper()
	for _, f := range mountTable(t, "self") {
		if kind := f[slices.Index(f, "-")+1]; (kind == "cgroup" || kind == "cgroup2") && strings.HasPrefix(f[4], "/sys/fs/cgroup") {
			found = append(found, f[4])
		}
	}
	return found
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
func (n *realNode) removeCgroup(t *testing.T, folder string) {
	t.Helper()
	eventually(t, "the end of "+folder, func() bool { // the last process may not have left it yet
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
		_, err := os.Lstat(folder)
		return os.IsNotExist(err)
	})
}

// keeper is a process that does nothing, in a network namespace and a mount namespace of its own. It ends with this
// process at the latest.
type keeper struct {
	cmd      *exec.Cmd
	input    io.Closer // it ends when this is closed
	done     chan struct{}
	mnt, net string // the namespaces' identities
}

// keeping mounts its arguments, by pairs, and then does nothing. A cgroup takes the other one's place instead of
// covering it: of two at one place, the container runtime would take the first. Its name is that of an empty folder.
const keeping = `
while [ $# -gt 0 ]; do
	case $2 in
	/sys/fs/cgroup*) mount --bind "$1" "$0"; umount -l "$2"; mount --move "$0" "$2" ;;
	*) mount --bind "$1" "$2" ;;
	esac
	shift 2
done
echo made
exec cat`

// newKeeper starts one. Of each two paths it mounts the first on the second.
func newKeeper(t *testing.T, empty string, mounts []string) *keeper {
	t.Helper()
	stdout, stderr := newOutput(), newOutput()
	k := &keeper{cmd: exec.Command("sh", append([]string{"-ec", keeping, empty}, mounts...)...), done: make(chan struct{})}
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	k.cmd.Stdout, k.cmd.Stderr = stdout, stderr
	var err error
	if k.input, err = k.cmd.StdinPipe(); err == nil {
		err = k.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(k.done)
		_ = k.cmd.Wait() // what it has printed says it
	}()
	err = stdout.wait("made\n", k.done)
	if err == nil {
		k.mnt, err = os.Readlink(k.namespace("mnt"))
	}
	if err == nil {
		k.net, err = os.Readlink(k.namespace("net"))
	}
	if err != nil {
		k.end(t)
		t.Fatalf("the machine's mounts: %v\n%s", err, stderr)
	}
	return k
}

func (k *keeper) pid() int { return k.cmd.Process.Pid }

// namespace is the path of one.
func (k *keeper) namespace(kind string) string {
	return filepath.Join("/proc", strconv.Itoa(k.pid()), "ns", kind)
}

// root is a path on the machine, for others.
func (k *keeper) root(path string) string {
	return filepath.Join("/proc", strconv.Itoa(k.pid()), "root", path)
}

func (k *keeper) end(t *testing.T) {
	_ = k.input.Close() // it may have ended already
	await(t, "the end of what keeps the namespaces", k.done)
}
