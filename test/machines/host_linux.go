package machines

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// most is how many hosts there can be: their addresses start at 11.
const most = 200

// Host is one of a test's hosts. Methods without an error fail the test, and are for its goroutine; the others are for
// any.
type Host struct {
	Name string // also its host name: host-1, host-2 and so on
	IP   string // its address, which the other hosts reach
	Dir  string // its folder: HOME, with TMPDIR in it. Its path is short enough for sockets, and the same outside

	t    testing.TB
	lan  *lan
	node bool                       // it is one of NewNodes
	on   atomic.Pointer[namespaces] // nil: off
}

// New makes hosts, which are on, and joined by a network. They are gone when the test has ended, with all that runs on
// them. Where the machine cannot have any, the test is skipped, or fails on CI.
func New(t testing.TB, n int) []*Host {
	t.Helper()
	return newHosts(t, n, false)
}

func newHosts(t testing.TB, n int, nodes bool) []*Host {
	t.Helper()
	if n > most {
		t.Fatalf("%d hosts are more than %d", n, most)
	}
	require(t)
	lan := newLAN(t)
	hosts := make([]*Host, n)
	for i := range hosts {
		dir, err := os.MkdirTemp("", "km") // t.TempDir is too long for sockets
		if err != nil {
			t.Fatal(err)
		}
		h := &Host{Name: fmt.Sprint("host-", i+1), IP: fmt.Sprint(subnet, 11+i), Dir: dir, t: t, lan: lan, node: nodes}
		hosts[i] = h
		// The steps are in reverse, and each is a cleanup of its own: one that fails keeps no other from happening.
		t.Cleanup(h.removeDir)
		if nodes {
			t.Cleanup(func() {
				if err := h.removeCgroups(); err != nil {
					t.Errorf("%s: %v", h.Name, err)
				}
			})
		}
		t.Cleanup(h.Kill)
		h.Boot()
	}
	return hosts
}

// prepare has the first process of a host see the host's processes, take the name, and, after the folder, mount one
// path on another one, by pairs. A cgroup takes the other one's place instead of covering it: of two at one place, the
// container runtime would take the first.
const prepare = `
mount -t proc proc /proc
echo "$1" >/proc/sys/kernel/hostname
folder=$2
shift 2
while [ $# -gt 0 ]; do
	case $2 in
	/sys/fs/cgroup*) mount --bind "$1" "$folder"; umount -l "$2"; mount --move "$folder" "$2" ;;
	*) mount --bind "$1" "$2" ;;
	esac
	shift 2
done`

// Boot turns the host on, with what is in its folder, and with nothing running. It is connected.
func (h *Host) Boot() {
	h.t.Helper()
	if h.on.Load() != nil {
		h.t.Fatalf("%s is on", h.Name)
	}
	if err := os.MkdirAll(h.tmp(), 0o755); err != nil {
		h.t.Fatal(err)
	}
	var mounts []string
	if h.node {
		var err error
		if mounts, err = h.ownPlaces(); err != nil {
			h.t.Fatalf("%s: %v", h.Name, err)
		}
	}
	on, err := newNamespaces(unix.CLONE_NEWPID|unix.CLONE_NEWNS|unix.CLONE_NEWUTS|unix.CLONE_NEWNET, prepare, append([]string{h.Name, h.Dir}, mounts...)...)
	if err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
	h.on.Store(on)
	if err = h.lan.plug(h, on); err == nil {
		err = on.ip(connection(h.IP)...)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
}

// Kill turns the host off, as pulling the plug does: all of its processes end at once, and none says goodbye, neither
// to its disk nor to those that it is connected with. What they have written is in its folder, with or without fsync.
// A host that is off is left as it is.
func (h *Host) Kill() {
	h.t.Helper()
	on := h.on.Swap(nil)
	if on == nil {
		return
	}
	// The cable is first: else the kernel would tell the others that connections are closed.
	if err := h.lan.unplug(h.Name); err != nil {
		h.t.Errorf("%s: %v", h.Name, err)
	}
	if err := on.kill(); err != nil {
		h.t.Errorf("%s: %v", h.Name, err)
	}
}

// LoseDisk turns the host off, if it is on, and empties its folder.
func (h *Host) LoseDisk() {
	h.t.Helper()
	h.Kill()
	h.removeDir()
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
}

func (h *Host) removeDir() {
	if err := os.RemoveAll(h.Dir); err != nil {
		h.t.Errorf("%s: %v", h.Name, err)
	}
}

// Disconnect has nothing that the host sends arrive elsewhere, and nothing arrive at the host, until Connect. It is not
// told: connections stay, until somebody loses patience. A host that is turned off and on again is connected.
func (h *Host) Disconnect() {
	h.t.Helper()
	if err := h.lan.part(h.Name); err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
}

// Connect ends what Disconnect began.
func (h *Host) Connect() {
	h.t.Helper()
	if err := h.lan.join(h.Name); err != nil {
		h.t.Fatalf("%s: %v", h.Name, err)
	}
}

// Dial connects from the host. The address must be numbers: a name would be looked up elsewhere.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.Do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens on the host. Whoever listens when the host is turned off is to stop it: the network is there until
// then, without a cable.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// Do calls f on a thread that is on the host: what f starts runs there, and what f connects to it reaches from there.
// f must not end its goroutine, as t.Fatal does; what other goroutines do for f is not on the host.
func (h *Host) Do(f func() error) error {
	on := h.on.Load()
	if on == nil {
		return fmt.Errorf("%s is off", h.Name)
	}
	return on.do(f)
}

// Path is one in the host's folder.
func (h *Host) Path(names ...string) string {
	return filepath.Join(append([]string{h.Dir}, names...)...)
}

// Root is where the tests find a path of the host while it is on, with what is mounted there.
func (h *Host) Root(path string) string {
	on := h.on.Load()
	if on == nil {
		h.t.Fatalf("%s is off", h.Name)
	}
	return on.path("root", path)
}

func (h *Host) tmp() string { return h.Path("tmp") }
