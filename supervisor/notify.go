package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// notifier tells a service manager such as systemd what the servers as a whole do, in the protocol of sd_notify(3):
// that all are ready, that they are being stopped, a line for people, and that this process is alive. It reads events.
// It does nothing unless a service manager asks for it.
type notifier struct {
	socket string
	beat   time.Duration // how often to say that the process is alive; 0 for never
	names  []string
	states map[string]State
	wasUp  bool // READY=1 has been sent
	ending bool // STOPPING=1 has been sent
}

// newNotifier takes the service manager's variables out of the environment: servers that know the protocol would find
// them, too, and each would say that all are ready, or well.
func newNotifier(r *run) *notifier {
	n := &notifier{socket: os.Getenv("NOTIFY_SOCKET"), names: namesOf(r.plan.Servers), states: map[string]State{}}
	// In half the time that the service manager allows, as sd_watchdog_enabled(3) recommends.
	limit, err := daemon.SdWatchdogEnabled(true)
	if n.beat = limit / 2; err != nil {
		r.logs.Program().Zap().Warn("the service manager's watchdog will not hear of this process", zap.Error(err))
	}
	if n.socket != "" {
		_ = os.Unsetenv("NOTIFY_SOCKET") // fails for invalid names alone
	}
	return n
}

// show is called with each event, in order.
func (n *notifier) show(e Event) {
	if n.socket == "" {
		return
	}
	n.states[e.Server] = e.To
	lines := []string{"STATUS=" + n.status(e)}
	up := true
	for _, name := range n.names {
		up = up && n.states[name] == Ready
	}
	if up && !n.wasUp {
		n.wasUp = true
		lines = append(lines, "READY=1")
	}
	if e.Closing && !n.ending {
		n.ending = true
		lines = append(lines, "STOPPING=1")
	}
	n.send(strings.Join(lines, "\n"))
}

// status is one line on all servers.
func (n *notifier) status(e Event) string {
	ready := 0
	var others []string
	for _, name := range n.names {
		if n.states[name] == Ready {
			ready++
		} else {
			others = append(others, name+" "+n.states[name].String())
		}
	}
	line := fmt.Sprintf("%d of %d servers ready", ready, len(n.names))
	if len(others) > 0 {
		line += "; " + strings.Join(others, ", ")
	}
	if e.Err != nil {
		line += "; " + text.OneLine(fmt.Errorf("%s: %w", e.Server, e.Err))
	}
	return line
}

// watch tells the service manager's watchdog that the process is alive, until ctx ends. It is alive if its servers'
// states can be read: each change of one goes through the same lock.
func (n *notifier) watch(ctx context.Context, g *life.Group) {
	if n.socket == "" || n.beat <= 0 {
		return
	}
	ticker := time.NewTicker(n.beat)
	defer ticker.Stop()
	for {
		g.Closing()
		n.send("WATCHDOG=1")
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends one datagram. If that fails, the service manager finds out by a time-out. (This is not go-systemd's
// SdNotify, which looks for the socket in the environment.)
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
