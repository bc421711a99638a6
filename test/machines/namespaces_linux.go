package machines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A thread that has entered a host's namespaces (namespaces.do) ends with its goroutine, but for the main thread, which
// cannot: the tests themselves would count as a process of the host then. So the main thread is the main goroutine's.
func init() { runtime.LockOSThread() }

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 5 * time.Minute

// interval is how often something is looked at that does not tell of itself.
const interval = 20 * time.Millisecond

// namespaces are some that a process keeps, which does nothing else. With a PID namespace, it is the first process in
// it, and all others end with it.
type namespaces struct {
	flags  int      // CLONE_NEW*
	first  *os.File // PID file descriptor of the process: nobody else may have its number
	pid    int
	done   chan struct{} // it has ended, and with it all in the PID namespace
	unlock io.Closer     // its standard input: it ends when this is closed, at the latest by the end of the tests
}

// keep has a process do nothing. It ignores the ends of its children: those that it inherits in a PID namespace leave
// no zombies.
const keep = `
echo kept
exec env --ignore-signal=CHLD cat`

// newNamespaces makes some. The script prepares them, with its arguments, before anything else runs there.
func newNamespaces(flags int, script string, args ...string) (*namespaces, error) {
	fd := -1
	c := exec.Command("sh", append([]string{"-ec", script + keep, "sh"}, args...)...)
	// By unshare, Go makes the mounts private. A process does not enter its own PID namespace that way.
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: uintptr(flags & unix.CLONE_NEWPID), Unshareflags: uintptr(flags &^ unix.CLONE_NEWPID), PidFD: &fd}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if fd < 0 {
		return nil, errors.Join(errors.New("the kernel has no PID file descriptors"), stdin.Close(), c.Wait())
	}
	n := &namespaces{flags: flags, first: os.NewFile(uintptr(fd), "pidfd"), pid: c.Process.Pid, done: make(chan struct{}), unlock: stdin}
	word := make([]byte, len("kept\n"))
	_, err = io.ReadFull(stdout, word)
	go func() {
		defer close(n.done)
		_ = c.Wait() // how it ends is known: it is told to
	}()
	if err != nil {
		_, _ = n.unlock.Close(), n.first.Close()
		<-n.done
		return nil, fmt.Errorf("no namespaces: %s", bytes.TrimSpace(stderr.Bytes()))
	}
	return n, nil
}

// kill ends all processes in the namespaces, and waits for that.
func (n *namespaces) kill() error {
	err := n.withFirst(func(fd int) error { return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) })
	if errors.Is(err, unix.ESRCH) {
		err = nil // it has ended already
	}
	_ = n.unlock.Close()
	err = errors.Join(err, n.first.Close())
	select {
	case <-n.done:
	case <-time.After(patience):
		// Those that the tests have started are there until somebody asks how they ended.
		err = errors.Join(err, fmt.Errorf("not all processes have ended after %v, or not all were waited for: %v", patience, n.processes()))
	}
	return err
}

// withFirst calls f with the process's descriptor, which nobody closes meanwhile.
func (n *namespaces) withFirst(f func(fd int) error) error {
	raw, err := n.first.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = f(int(fd)) })
	return errors.Join(err, failure)
}

// do calls f on a thread that is in the namespaces: what f starts, or connects to, it does from there. f must not end
// its goroutine, as t.Fatal does.
func (n *namespaces) do(f func() error) error {
	err := errors.New("a function has ended its goroutine in namespaces")
	done := make(chan struct{})
	go func() {
		defer close(done)
		// It is never unlocked: the thread ends with the goroutine, and nobody else may get it.
		runtime.LockOSThread()
		// All threads would get the others' root and working directory else.
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		if err = n.withFirst(func(fd int) error { return unix.Setns(fd, n.flags) }); err != nil {
			err = fmt.Errorf("the namespaces of process %d cannot be entered: %w", n.pid, err)
			return
		}
		err = f()
	}()
	<-done
	return err
}

// path is one that the process sees below /proc/self.
func (n *namespaces) path(names ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(n.pid)}, names...)...)
}

// processes are those in one of the namespaces, and those in PID namespaces below.
func (n *namespaces) processes() []int {
	var own []string
	for _, kind := range []string{"mnt", "net", "pid"} {
		mine, _ := os.Readlink(filepath.Join("/proc/self/ns", kind))
		if link, err := os.Readlink(n.path("ns", kind)); err == nil && link != mine {
			own = append(own, link)
		}
	}
	return processesIn(own)
}

// processesIn are those that are in one of the namespaces, each named as the links in /proc/PID/ns.
func processesIn(own []string) (found []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/ns/*")
	for _, path := range links {
		link, err := os.Readlink(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if slices.Contains(own, link) && !slices.Contains(found, pid) {
			found = append(found, pid)
		}
	}
	return found
}
