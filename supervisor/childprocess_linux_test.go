package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// byItself is a run of ui, remote and base, all in a process of its own, which has a group of its own.
type byItself struct {
	*isolated
	cmd *exec.Cmd
	out lockedBuffer
}

func runByItself(t *testing.T) *byItself {
	t.Helper()
	guard(t)
	r := &byItself{isolated: &isolated{served: &served{t: t, hk: &HyperKube{Name: "iso"}}}}
	dir := t.TempDir()
	r.cmd = isoCommand("run", "--data-dir="+dir, "--remote.isolation=process", "--ui.isolation=process")
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.p = &Plan{DataDir: dir}
	r.http = r.hk.connect(r.p)
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); r.http.HTTP.CloseIdleConnections() })
	eventually(t, "all are ready", func() bool {
		s, err := r.http.Status(t.Context())
		return err == nil && !s.Ready.IsZero()
	})
	return r
}

func isoCommand(args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Args = append([]string{"iso"}, args...)
	return c
}

func (alone *byItself) pidOf(name string) int {
	alone.t.Helper()
	s, err := alone.http.Status(alone.t.Context())
	if err != nil {
		alone.t.Fatal(err)
	}
	return s.Servers[slices.IndexFunc(s.Servers, func(s ServerStatus) bool { return s.Name == name })].PID
}

// end waits for the end of the run, and checks that those that had been children are gone.
func (alone *byItself) end(code int, children ...int) {
	alone.t.Helper()
	var exit *exec.ExitError
	ended := make(chan error, 1)
	go func() { ended <- alone.cmd.Wait() }()
	if err := receive(alone.t, "the end of the run", ended); err != nil && !errors.As(err, &exit) {
		alone.t.Fatal(err)
	}
	if got := alone.cmd.ProcessState.ExitCode(); got != code {
		alone.t.Errorf("exit code %d, want %d:\n%s", got, code, alone.out.String())
	}
	for _, pid := range children {
		eventually(alone.t, "the process of a server has ended", func() bool { return !running(pid) })
	}
}

// running reports whether there is such a process, which may have lost its parent, and wait for nobody to look how it
// has ended.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := bytes.Cut(text, []byte(") "))
	return err == nil && !bytes.HasPrefix(state, []byte("Z"))
}

// Whatever ends the others' process ends the server's.
func TestIsolatedDiesWithItsParent(t *testing.T) {
	r := runByItself(t)
	children := []int{r.pidOf("remote"), r.pidOf("ui")}
	_ = r.cmd.Process.Kill()
	r.end(-1, children...)
}

// Signals for all processes, such as those of the terminal and of systemd, stop the servers in order.
func TestIsolatedSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			r := runByItself(t)
			children := []int{r.pidOf("remote"), r.pidOf("ui")}
			for _, pid := range children { // first: they are not to end by themselves
				if err := syscall.Kill(pid, s); err != nil {
					t.Error(err)
				}
			}
			if err := syscall.Kill(-r.cmd.Process.Pid, s); err != nil {
				t.Error(err)
			}
			r.end(0, children...)
			var got []string
			for line := range strings.Lines(r.out.String()) {
				if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "stop") {
					got = append(got, f[0]+" "+f[1])
				}
			}
			want := []string{"ui stopping", "ui stopped", "remote stopping", "remote stopped", "base stopping", "base stopped"}
			got = slices.DeleteFunc(got, func(s string) bool { return !slices.Contains(want, s) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, r.out.String())
			}
		})
	}
}

// The process has its own files and no others: not the lock of the data folder, not the admin socket, no log file.
func TestIsolatedFiles(t *testing.T) {
	r := isolate(t)
	var got []string
	for line := range strings.Lines(r.tell("files", "")) {
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		ours, _ := os.Readlink("/proc/self/fd/" + number)
		if strings.HasPrefix(name, r.p.DataDir) {
			t.Errorf("it has %s", line)
		}
		// the Go runtime has these
		if kind, _, ok := strings.Cut(name, ":["); ok && name != ours && kind != "anon_inode" {
			got = append(got, kind)
		}
	}
	slices.Sort(got)
	// Pipes: the log, standard output and error. Sockets: the connection to the parent, two that it was given, a
	// listener on the first, the one of its profiles, and the connection on which it is asked.
	want := []string{"pipe", "pipe", "pipe", "socket", "socket", "socket", "socket", "socket", "socket"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A process that ends leaves nothing in the parent.
func TestIsolatedLeaksNothing(t *testing.T) {
	r := isolate(t)
	count := func() int { return len(must(os.ReadDir("/proc/self/fd"))) }
	restart := func() {
		t.Helper()
		r.ask(life.Restart, "remote")
		if u := r.p.Server("remote").at().child.Usage(t.Context(), admin.ServerUsage{}); u.Goroutines == 0 {
			t.Error("its usage is not known")
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would close what nobody has closed
	restart()
	before := count()
	for range 50 {
		restart()
	}
	// The goroutines are counted by TestMain.
	eventually(t, fmt.Sprintf("no more than %d files are open", before), func() bool { return count() <= before })
}

// Where no process can be started that is the server's failure, and nothing is left open.
func TestIsolatedCannotStart(t *testing.T) {
	r := isolate(t, "--remote.restart=never", "--keep-going")
	count := func() int { return len(must(os.ReadDir("/proc/self/fd"))) }
	r.ask(life.Stop, "remote")
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := count()
	c := r.p.Server("remote").at().child
	t.Setenv("SUPERVISOR_TEST", strings.Repeat("x", 1<<20)) // more than a process may be given
	for range 5 {
		if err := c.Run(t.Context()); err == nil || !errors.Is(err, syscall.E2BIG) ||
			!strings.HasPrefix(err.Error(), "its process cannot be started: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v", err)
		}
	}
	eventually(t, "all files are closed", func() bool { return count() <= before })
}

// Nobody calls it by hand, whatever is open there.
func TestIsolatedCommandByHand(t *testing.T) {
	guard(t)
	pair := must(syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0))
	socket, other := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "other")
	must(other.WriteString("hello\n"))
	defer socket.Close()
	defer other.Close()
	null := must(os.Open(os.DevNull))
	defer null.Close()
	l := must(net.Listen("unix", filepath.Join(t.TempDir(), "s")))
	defer l.Close()
	listener := must(l.(*net.UnixListener).File())
	defer listener.Close()
	for name, files := range map[string][]*os.File{"nothing": nil, "file": {null}, "socket": {socket}, "listener": {listener}} {
		for _, args := range [][]string{{isolatedCommand, "remote"}, {isolatedCommand}, {isolatedCommand, "no", "--such"}} {
			c := isoCommand(args...)
			c.ExtraFiles = files
			text, err := c.CombinedOutput()
			if c.ProcessState.ExitCode() != 2 || string(text) != "Error: `iso isolated` is how `iso run` calls itself for a server with --SERVER.isolation=process\n" {
				t.Errorf("%s on fd 3, %v: %v\n%s", name, args, err, text)
			}
			if name == "socket" {
				must(other.WriteString("hello\n")) // for the next one
			}
		}
	}
}

// The plan is for the parent's binary: what it lacks is a failure that says so.
func TestAdoptedPlanIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"server": "remote", "servers": [{"name": "nobody"}]}`:                        "server not found: nobody",
		`{"server": "remote", "servers": [{"name": "base"}]}`:                          "remote is not in its parent's plan",
		`{"server": "remote", "servers": [{"name": "remote", "flags": [["v", "x"]]}]}`: "remote: --v: strconv.ParseInt",
	} {
		var plan childPlan
		if err := json.Unmarshal([]byte(text), &plan); err != nil {
			t.Fatal(err)
		}
		if _, _, err := isolatedToy().adopt(&plan); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}
