package supervisor

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// memoryCgroup is a cgroup of the test's own, of version 1, with a memory limit.
type memoryCgroup struct{ own, dir string }

func newMemoryCgroup(t *testing.T, limit int) memoryCgroup {
	t.Helper()
	var c memoryCgroup
	for line := range strings.Lines(fileText(t, "/proc/self/cgroup")) {
		if part := strings.SplitN(strings.TrimSpace(line), ":", 3); len(part) == 3 && part[1] == "memory" {
			c.own = filepath.Join("/sys/fs/cgroup/memory", part[2])
		}
	}
	c.dir = filepath.Join(c.own, "km-test-"+strconv.Itoa(os.Getpid()))
	if c.own == "" {
		t.Skip("there is no memory controller of version 1 here")
	}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		t.Skip("no cgroup can be made here: ", err)
	}
	t.Cleanup(func() {
		eventually(t, "nothing is in the cgroup any more", func() bool { return os.Remove(c.dir) == nil })
	})
	for _, file := range []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(strconv.Itoa(limit)), 0o600); err != nil && file == "memory.limit_in_bytes" {
			t.Fatal(err)
		}
	}
	return c
}

// start starts a process in the cgroup: it inherits it from the thread that starts it.
func (cg memoryCgroup) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	move := func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "tasks"), []byte(strconv.Itoa(syscall.Gettid())), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	move(cg.dir)
	defer move(cg.own)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// A run in a cgroup with a limit keeps below it, as do its servers in processes of their own; one of these that is
// killed says why.
func TestMemoryLimitOfACgroup(t *testing.T) {
	const limit = 800 << 20
	c := newMemoryCgroup(t, limit)
	for _, user := range []string{"", "off", "700MiB"} {
		t.Run("GOMEMLIMIT="+user, func(t *testing.T) {
			guard(t)
			r := &byItself{isolated: &isolated{served: &served{t: t, hk: &HyperKube{Name: "iso"}}}}
			dir := t.TempDir()
			r.cmd = isoCommand("run", "--data-dir="+dir, "--remote.isolation=process", "--remote.restart=never", "--keep-going")
			r.cmd.Env = append(os.Environ(), "GOMEMLIMIT="+user)
			r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
			c.start(t, r.cmd)
			ended := false
			defer func() {
				if !ended {
					_ = r.cmd.Process.Kill()
					_ = r.cmd.Wait()
				}
			}()
			r.p = &Plan{DataDir: dir}
			r.http = r.hk.connect(r.p)
			defer r.http.HTTP.CloseIdleConnections()
			eventually(t, "all are ready", func() bool {
				s, err := r.http.Status(t.Context())
				return err == nil && !s.Ready.IsZero()
			})
			for _, name := range []string{"iso", "remote"} {
				says := func() []*logging.Line {
					return slices.DeleteFunc(linesOf(t, logPath(logDir(r.p), name)), func(l *logging.Line) bool {
						return !strings.HasPrefix(l.Msg, "the cgroup has a memory limit")
					})
				}
				if user == "" { // it is written a moment later
					eventually(t, name+" says that it is limited", func() bool { return len(says()) > 0 })
				}
				found := says()
				if len(found) > 0 && user != "" {
					t.Errorf("%s says that it is limited", name)
				}
				if len(found) > 0 && !strings.Contains(fmt.Sprint(fieldsOf(found[0])), strconv.FormatUint(system.HeapLimit(limit), 10)) {
					t.Errorf("%s: %v", name, fieldsOf(found[0]))
				}
			}
			if user == "off" {
				r.outgrow()
			}
			ended = true
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			_ = r.cmd.Wait()
		})
	}
}

// outgrow has remote use more memory than there is.
func (alone *byItself) outgrow() {
	alone.t.Helper()
	of := func() ServerStatus {
		s, err := alone.http.Status(alone.t.Context())
		if err != nil {
			alone.t.Fatal(err)
		}
		return s.Servers[slices.IndexFunc(s.Servers, func(s ServerStatus) bool { return s.Name == "remote" })]
	}
	if answer, err := http.Get("http://" + of().Address + "/grow"); err == nil {
		answer.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	var s ServerStatus
	eventually(alone.t, "remote has failed", func() bool { s = of(); return s.State == Failed })
	contains(alone.t, s.LastFailure.Error, "its process has ended: signal: killed; it was probably killed because the memory limit of its cgroup (800 MiB) was reached; give it more, or less to do")
}

// outgrowing tells TestOutgrowChild its data folder.
const outgrowing = "SUPERVISOR_TEST_OUTGROW"

// TestOutgrowChild is the process that TestKilledForMemoryIsTold starts.
func TestOutgrowChild(t *testing.T) {
	dir := os.Getenv(outgrowing)
	if dir == "" {
		t.Skip("it is for the other test")
	}
	if _, err := (&HyperKube{Name: "hk"}).newRun(&Plan{DataDir: dir}).keepCrash(); err != nil {
		t.Fatal(err)
	}
	outgrow()
}

// The next run says that the one before was killed for its memory.
func TestKilledForMemoryIsTold(t *testing.T) {
	guard(t)
	c := newMemoryCgroup(t, 200<<20)
	p := &Plan{DataDir: t.TempDir()}
	self := exec.Command("/proc/self/exe", "-test.run=^TestOutgrowChild$")
	self.Env = append(os.Environ(), outgrowing+"="+p.DataDir, "GOMEMLIMIT=off")
	c.start(t, self)
	_ = self.Wait()
	crash, err := lastCrash(p)
	if err != nil || crash == nil {
		t.Fatalf("%v, %v", crash, err)
	}
	contains(t, crash.String(), fmt.Sprintf("the previous run (process %d) ended some time after ", self.Process.Pid),
		" without being stopped: it was probably killed because the memory limit of its cgroup (200 MiB) was reached; give it more, or less to do")
}

func linesOf(t *testing.T, path string) (all []*logging.Line) {
	t.Helper()
	for text := range strings.Lines(fileText(t, path)) {
		if l, err := logging.ParseLine([]byte(text)); err == nil && l.Threshold() >= zapcore.DebugLevel {
			all = append(all, l)
		}
	}
	return all
}

func fieldsOf(l *logging.Line) (all []string) {
	for _, f := range l.Fields {
		all = append(all, f.Key+"="+string(f.Value))
	}
	return all
}
