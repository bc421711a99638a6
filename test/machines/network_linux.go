package machines

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The hosts' addresses are an example's. Nobody has the gateway's: the default route is for servers that take the
// address of its device.
const (
	subnet  = "192.0.2."
	gateway = subnet + "1"
)

// lan joins hosts by a bridge, in a network namespace of its own.
type lan struct{ *namespaces }

func newLAN(t testing.TB) *lan {
	t.Helper()
	n, err := newNamespaces(unix.CLONE_NEWNET, "")
	if err != nil {
		t.Fatalf("the hosts' network: %v", err)
	}
	l := &lan{n}
	t.Cleanup(func() {
		if err := n.kill(); err != nil {
			t.Errorf("the hosts' network: %v", err)
		}
	})
	if err := n.ip("link add bridge type bridge", "link set bridge up"); err != nil {
		t.Fatalf("the hosts' network: %v", err)
	}
	return l
}

// plug puts the host's cable in. The network's end of it has the host's name. The host's end has the hardware address
// that it has had before: nobody needs to learn a new one.
func (l *lan) plug(h *Host, on *namespaces) error {
	hardware := net.HardwareAddr(append([]byte{2, 0}, net.ParseIP(h.IP).To4()...)) // one that is administered locally
	return l.ip(
		fmt.Sprintf("link add %s type veth peer name eth0 address %s netns %d", h.Name, hardware, on.pid),
		"link set "+h.Name+" master bridge up",
	)
}

// unplug removes the host's cable.
func (l *lan) unplug(name string) error { return l.ip("link delete " + name) }

// join has the bridge pass on what comes from the host, and to it; part has it not do so. The host's device does not
// notice: it is as if something broke far away.
func (l *lan) join(name string) error { return l.ip("link set " + name + " master bridge") }
func (l *lan) part(name string) error { return l.ip("link set " + name + " nomaster") }

// ip runs commands of that name.
func (n *namespaces) ip(commands ...string) error {
	c := exec.Command("ip", "-batch", "-")
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var out []byte
	err := n.do(func() (err error) {
		out, err = c.CombinedOutput()
		return err
	})
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(commands, "; ip "), err, bytes.TrimSpace(out))
	}
	return nil
}

// connection are the commands that give a host its address.
func connection(ip string) []string {
	commands := []string{
		"link set lo up",
		"address add " + ip + "/24 dev eth0",
		"link set eth0 up",
		"route add default via " + gateway,
	}
	for _, server := range nameservers() {
		commands = append(commands, "route add unreachable "+server) // nobody waits for an answer
	}
	return commands
}

// nameservers are the IPv4 ones of the real machine, without those on its loopback device, where nobody listens on a
// host.
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
