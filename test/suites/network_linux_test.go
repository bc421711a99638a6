package suites

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// network makes what servers expect: a loopback interface, and an address by which others may reach them.
const network = "ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip route add default dev lo"

// ownNetworks tells whether processes can have one: that needs root, and ip.
var ownNetworks = sync.OnceValue(func() bool {
	if os.Geteuid() != 0 {
		return false
	}
	try := exec.Command("sh", "-c", network)
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	return try.Run() == nil
})

// inOwnNetwork has a command run in a network of its own, where that is possible. envtest looks for a free port, and
// gives it back until the server listens on it, which takes a while: nobody else is to take it meanwhile.
func inOwnNetwork(command *exec.Cmd) {
	if !ownNetworks() {
		return
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return
	}
	command.Args = append([]string{"sh", "-c", network + ` && exec "$0" "$@"`, command.Path}, command.Args[1:]...)
	command.Path = sh
	command.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
}
