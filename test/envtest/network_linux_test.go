package envtest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// apart is set in the environment of tests that have their own network.
const apart = "KM_ENVTEST_APART"

// network makes what servers expect: a loopback interface, and an address by which others may reach them.
const network = "ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip route add default dev lo"

// ownNetwork begins the tests anew in a network of their own, where that is possible. Upstream's envtest looks for a
// free port, and gives it back until the server listens on it, which takes a while: nobody else is to take it
// meanwhile. And what a test finds to be free after a stop, nobody else has taken.
func ownNetwork() error {
	if os.Geteuid() != 0 || os.Getenv(apart) != "" {
		return nil
	}
	try := exec.Command("sh", "-c", network)
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := try.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "no network of its own: %v\n%s", err, out)
		return nil
	}
	runtime.LockOSThread() // of which the network is
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	if out, err := exec.Command("sh", "-c", network).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", network, err, out)
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), apart+"=yes"))
}
