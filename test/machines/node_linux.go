package machines

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// NewNodes is New for hosts on which kubelets run real containers. What a kubelet takes for its own is each host's own:
// cgroups, and the Folders and Settings. Two that shared them would end each other's pods. MissingForNodes tells
// what the machine lacks for that.
func NewNodes(t testing.TB, n int) []*Host {
	t.Helper()
	return newHosts(t, n, true)
}

// MissingForNodes returns what the machine lacks for real containers on nodes, with those of the commands that it does
// not have. cni is the folder of CNI's plugins.
func MissingForNodes(commands ...string) (cni string, missing []string) {
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, command := range append([]string{"runc", "nft", "iptables", "ip", "mount", "umount"}, commands...) {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, command)
		}
	}
	for _, dir := range []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		if !slices.ContainsFunc([]string{"bridge", "host-local", "portmap", "loopback"}, func(plugin string) bool {
			_, err := os.Stat(filepath.Join(dir, plugin))
			return err != nil
		}) {
			cni = dir
		}
	}
	if cni == "" {
		missing = append(missing, "CNI plugins")
	}
	// Without it, what a pod on the bridge answers to another one does not pass the rules that have to translate it
	// back.
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil && exec.Command("modprobe", "br_netfilter").Run() != nil {
		missing = append(missing, "the kernel's br_netfilter")
	}
	return cni, missing
}

// Some places of its machine a kubelet takes for its own, whatever its flags are.
var (
	// Folders are fixed upstream: the socket for device plugins, which a kubelet that starts removes; links to logs;
	// logs; what CNI notes of pods.
	Folders = []string{"/var/lib/kubelet", "/var/log/containers", "/var/log/pods", "/var/lib/cni"}
	// Settings are the kernel's that a kubelet changes, below /proc/sys.
	Settings = []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
)

// ownPlaces makes what the host has in those places, and returns what is to be mounted where: first what, then where.
func (h *Host) ownPlaces() (mounts []string, err error) {
	for _, folder := range Folders {
		for _, path := range []string{folder, h.Path("places", folder)} {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return nil, err
			}
		}
		mounts = append(mounts, h.Path("places", folder), folder)
	}
	for _, name := range Settings {
		real := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(real)
		if err != nil {
			continue // not every kernel has all
		}
		own := h.Path("places", real)
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(own, value, 0o600); err != nil {
			return nil, err
		}
		mounts = append(mounts, own, real)
	}
	cgroups, err := h.makeCgroups()
	return append(mounts, cgroups...), err
}
