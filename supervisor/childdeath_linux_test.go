package supervisor

import (
	"syscall"
	"testing"
)

// A server's process dies with the run's own, even if it hangs: the kernel sees to that.
func TestIsolatedDiesWhileItHangs(t *testing.T) {
	r := runByItself(t)
	children := []int{r.pidOf("remote"), r.pidOf("ui")}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() { // nobody else ends it
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
	_ = r.cmd.Process.Kill()
	r.end(-1, children...)
}

// A server's process ends when its connection to the run's own process does. Elsewhere than on Linux nothing else
// tells it that this one has died.
func TestIsolatedEndsWithItsConnection(t *testing.T) {
	r := isolate(t)
	pid, c := r.pid(), r.p.Server("remote").at().child
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	r.renewed(pid)
}
