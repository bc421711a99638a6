package supervisor

import (
	"net"
	"os"
	"strings"
)

// notifier tells a service manager such as systemd what the servers as a whole do, in the protocol of sd_notify(3). It
// reads events. Without a service manager that asks for it, it does nothing.
type notifier struct {
	socket  string
	waiting map[string]bool // servers that have not been ready
	ending  bool
}

// newNotifier takes the service manager's socket out of the environment: servers that know the protocol find it there,
// too, and each would say that all are ready.
func newNotifier(p *Plan) *notifier {
	n := &notifier{socket: os.Getenv("NOTIFY_SOCKET"), waiting: map[string]bool{}}
	if n.socket != "" {
		_ = os.Unsetenv("NOTIFY_SOCKET") // fails for invalid names alone
	}
	for _, s := range p.Servers {
		n.waiting[s.Name()] = true
	}
	return n
}

// show is called with each event, in order.
func (n *notifier) show(e Event) {
	switch {
	case n.socket == "":
	case e.To == Ready && n.waiting[e.Server]:
		delete(n.waiting, e.Server)
		if len(n.waiting) == 0 {
			n.send("READY=1")
		}
	case (e.To == Stopping || e.To == Failed) && !n.ending:
		n.ending = true
		n.send("STOPPING=1")
	}
}

// send sends one datagram. That it cannot be sent is the service manager's loss, and it will say so by a time-out.
func (n *notifier) send(state string) {
	name := n.socket
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:] // Linux' abstract namespace
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
