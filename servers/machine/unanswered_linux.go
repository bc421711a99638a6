package machine

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unansweredTime is how long what was sent may be without an answer of the other machine.
const unansweredTime = 10 * time.Second

// endsUnanswered has a connection end when what was sent is not acknowledged: keep-alive probes are not sent as long as
// there is something under way.
func endsUnanswered(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, it takes longer
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unansweredTime.Milliseconds()))
	})
}
