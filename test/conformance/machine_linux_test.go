package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for what a machine does. It is no expectation of speed.
const patience = 5 * time.Minute

// machine is a host, as far as there can be several in one: it has a host name, a network and mounts of its own, in
// namespaces, its own cgroups, and a folder, which is HOME, too. It is gone when the test has ended, and all that ran
// on it.
type machine struct {
	t      *testing.T
	name   string // the host's
	dir    string
	logs   string // folder for what its processes print
	ip     string
	pods   string // their subnet
	keeper *exec.Cmd
	input  io.Closer // the keeper ends when this is closed
	ended  chan struct{}
}

// Some places of a machine a kubelet takes for its own, whatever its flags are: the socket for device plugins, which
// one that starts removes; links to logs; what CNI notes of pods; settings of the kernel.
var (
	ownFolders  = []string{"/var/lib/kubelet", "/var/log/containers", "/var/log/pods", "/var/lib/cni"}
	ownSettings = []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	}
)

// keeping has a process take a host name and mounts, by pairs of what and where, and then do nothing. A cgroup takes
// the other one's place instead of covering it: of two at one place, the container runtime would take the first.
const keeping = `
hostname "$1"
empty=$2
shift 2
while [ $# -gt 0 ]; do
	case $2 in
	/sys/fs/cgroup*) mount --bind "$1" "$empty"; umount -l "$2"; mount --move "$empty" "$2" ;;
	*) mount --bind "$1" "$2" ;;
	esac
	shift 2
done
echo made
exec cat`

// newMachine makes one without a network, but for its loopback device.
func newMachine(t *testing.T, name, ip, pods, logs string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "km") // t.TempDir is too long for the sockets
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, name: name, dir: dir, logs: logs, ip: ip, pods: pods, ended: make(chan struct{})}
	// The steps are in reverse, and each is a cleanup of its own: one that fails keeps no other from happening.
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	mounts := m.ownPlaces()
	t.Cleanup(func() { m.endProcesses() })

	m.keeper = exec.Command("sh", append([]string{"-ec", keeping, "sh", name, m.folder("empty")}, mounts...)...)
	m.keeper.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	var stderr bytes.Buffer
	m.keeper.Stderr = &stderr
	input, err := m.keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := m.keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.keeper.Start(); err != nil {
		t.Fatal(err)
	}
	m.input = input
	if word, _ := io.ReadAll(io.LimitReader(output, int64(len("made\n")))); string(word) != "made\n" {
		_ = m.keeper.Wait() // what it has printed says more
		t.Fatalf("%s: its mounts: %s", name, stderr.String())
	}
	go func() {
		defer close(m.ended)
		_ = m.keeper.Wait()
	}()
	m.do("ip", "link", "set", "lo", "up")
	return m
}

// path is one in the machine's folder.
func (m *machine) path(names ...string) string {
	return filepath.Join(append([]string{m.dir}, names...)...)
}

// folder makes one in the machine's folder.
func (m *machine) folder(names ...string) string {
	m.t.Helper()
	path := m.path(names...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// write writes a file in the machine's folder.
func (m *machine) write(text string, names ...string) string {
	m.t.Helper()
	path := m.path(names...)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return path
}

// ownPlaces makes what is the machine's own, and returns what is to be mounted where. Its cgroups are below those of
// the real machine, and all that a kubelet on it sees: it removes those of pods that it does not know.
func (m *machine) ownPlaces() (mounts []string) {
	m.t.Helper()
	for _, folder := range ownFolders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			m.t.Fatal(err)
		}
		mounts = append(mounts, m.folder("places", folder), folder)
	}
	for _, name := range ownSettings {
		real := filepath.Join("/proc/sys", name)
		if value, err := os.ReadFile(real); err == nil { // not every kernel has all
			mounts = append(mounts, m.write(string(value), "places", real), real)
		}
	}
	for _, real := range cgroupMounts(m.t) {
		own := filepath.Join(real, m.cgroup())
		if err := os.Mkdir(own, 0o755); err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { m.removeCgroup(own) })
		delegate(real, own)
		mounts = append(mounts, own, real)
	}
	return mounts
}

// cgroup is the name of its cgroups, which no other machine has.
func (m *machine) cgroup() string { return filepath.Base(m.dir) }

// cgroupMounts are where cgroups are mounted: one place in version 2, one for each controller in version 1.
func cgroupMounts(t *testing.T) (found []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // proc_pid_mountinfo(5)
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
func (m *machine) removeCgroup(folder string) {
	m.await("the end of "+folder, func() error { // the last process may not have left it yet
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
		if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there (%v)", folder, err)
		}
		return nil
	})
}

// endProcesses ends all that are on the machine: what keeps its namespaces, shims, and containers that lost them.
func (m *machine) endProcesses() {
	if m.input == nil {
		return
	}
	m.await("the end of its processes", func() error {
		left := m.processes()
		for _, pid := range left {
			if pid != m.keeper.Process.Pid {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if len(left) > 1 {
			return fmt.Errorf("there are %v", left)
		}
		return nil
	})
	_ = m.input.Close() // it may have ended already
	<-m.ended
}

// processes are those in one of the machine's namespaces, or in its cgroups, where all containers are.
func (m *machine) processes() (found []int) {
	mnt, _ := os.Readlink(m.namespace("mnt"))
	network, _ := os.Readlink(m.namespace("net"))
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		of := func(file string) string { return filepath.Join("/proc", e.Name(), file) }
		itsMnt, err := os.Readlink(of("ns/mnt"))
		if err != nil {
			continue // it has ended
		}
		itsNetwork, _ := os.Readlink(of("ns/net"))
		cgroups, _ := os.ReadFile(of("cgroup"))
		if itsMnt == mnt || itsNetwork == network || bytes.Contains(cgroups, []byte("/"+m.cgroup()+"/")) {
			found = append(found, pid)
		}
	}
	return found
}

// namespace is the path of one.
func (m *machine) namespace(kind string) string {
	return filepath.Join("/proc", strconv.Itoa(m.keeper.Process.Pid), "ns", kind)
}

// await waits until a question has no error for an answer.
func (m *machine) await(what string, ask func() error) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		switch err := ask(); {
		case err == nil:
			return
		case time.Now().After(deadline):
			m.t.Errorf("%s: %s: waited in vain for %v: %v", m.name, what, patience, err)
			return
		}
	}
}

// command is one on the machine. If ctx ends, it is asked to end.
func (m *machine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{fmt.Sprint("--target=", m.keeper.Process.Pid), "--net", "--mount", "--uts", "--", name}, args...)...)
	c.Env = append(environment(), "HOME="+m.dir, "TMPDIR="+m.folder("tmp"))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	return c
}

// do runs a command on the machine, which has to succeed, and returns what it prints.
func (m *machine) do(name string, args ...string) string {
	m.t.Helper()
	out, err := m.try(context.Background(), name, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *machine) try(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := m.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %s %s: %w\n%s", m.name, filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// process is one that goes on, on a machine.
type process struct {
	*exec.Cmd
	printed string // file
	done    chan struct{}
	err     error // of its end
}

// start starts a command on the machine. It is stopped when the test has ended.
func (m *machine) start(what, name string, args ...string) *process {
	m.t.Helper()
	p := &process{Cmd: m.command(context.Background(), name, args...), printed: filepath.Join(m.logs, m.name+"-"+what), done: make(chan struct{})}
	file, err := os.Create(p.printed)
	if err != nil {
		m.t.Fatal(err)
	}
	p.Stdout, p.Stderr = file, file
	err = p.Start()
	if err := errors.Join(err, file.Close()); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.Wait()
	}()
	m.t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.done:
		case <-time.After(patience):
			m.t.Errorf("%s: %s does not stop; what it printed is in %s", m.name, what, p.printed)
		}
	})
	return p
}

// until waits until a condition holds, as long as a process goes on that it depends on.
func (m *machine) until(p *process, what string, ask func() error) {
	m.t.Helper()
	m.await(what, func() error {
		select {
		case <-p.done:
			m.t.Fatalf("%s: %s: the process has ended: %v; what it printed is in %s", m.name, what, p.err, p.printed)
		default:
		}
		return ask()
	})
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// join connects two machines by a cable. Each reaches the other one's pods. There is no way out.
func join(a, b *machine) {
	a.do("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(b.keeper.Process.Pid))
	for m, other := range map[*machine]*machine{a: b, b: a} {
		m.do("ip", "addr", "add", m.ip+"/24", "dev", "eth0")
		m.do("ip", "link", "set", "eth0", "up")
		m.do("ip", "route", "add", other.pods, "via", other.ip)
	}
	for _, m := range []*machine{a, b} {
		// The kubelet takes the address of the device with the default route.
		m.do("ip", "route", "add", "default", "via", gateway)
		for _, server := range nameservers() {
			m.do("ip", "route", "add", "unreachable", server) // nobody waits for an answer
		}
		m.do("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	}
}

// nameservers are the IPv4 ones of the real machine, without those on its loopback device.
func nameservers() (found []string) {
	text, _ := os.ReadFile("/etc/resolv.conf") // without it, there are none
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if ip := net.ParseIP(f[1]); ip.To4() != nil && !ip.IsLoopback() && !slices.Contains(found, f[1]) {
				found = append(found, f[1])
			}
		}
	}
	return found
}

// listen listens on the machine.
func (m *machine) listen(address string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and nobody else may get it
		ns, failure := os.Open(m.namespace("net"))
		if failure != nil {
			err = failure
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		l, err = net.Listen("tcp", address)
	}()
	<-done
	return l, err
}
