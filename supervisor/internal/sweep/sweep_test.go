//go:build unix

package sweep

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// first is what the process does that the tests kill, or let end: it is this test binary, called with this variable set
// to a folder.
const first = "SWEEP_TEST_FIRST"

func TestMain(m *testing.M) {
	if folder := os.Getenv(first); folder != "" {
		beFirst(folder)
	}
	// The race detector has each process wait for a second at its end: those that tests start need not.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// beFirst starts a sweeper and a job that has a child of its own, tells of them, and waits for a word.
func beFirst(folder string) {
	self, err := os.Executable()
	must(err)
	must(os.Unsetenv(first))
	s, err := Start(self, "sweeper")
	must(err)
	must(s.Folder(folder))
	must(os.Mkdir(folder, 0o700))
	job := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait")
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := job.StdoutPipe()
	must(err)
	must(job.Start())
	must(s.Group(job.Process.Pid))
	line, err := bufio.NewReader(out).ReadString('\n')
	must(err)
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	must(err)
	must(json.NewEncoder(os.Stdout).Encode([]int{s.PID(), job.Process.Pid, grandchild}))
	word, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	if word == "ended\n" {
		must(s.GroupEnded(job.Process.Pid))
	}
	if word == "done\n" {
		must(s.Close())
	}
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// started is a process that is to end, and the processes that it has started.
type started struct {
	*exec.Cmd
	words                    io.Writer
	sweeper, job, grandchild int
}

func start(t *testing.T, folder string) *started {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{Cmd: exec.Command(self)}
	s.Env = append(os.Environ(), first+"="+folder)
	s.Stderr = os.Stderr
	// A group as of a shell's: what is sent to it reaches the sweeper if that is in it.
	s.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.words, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	if err := json.NewDecoder(out).Decode(&pids); err != nil {
		t.Fatal(err)
	}
	s.sweeper, s.job, s.grandchild = pids[0], pids[1], pids[2]
	t.Cleanup(func() {
		for _, pid := range append(pids, s.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // most have ended
		}
	})
	return s
}

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// until waits until the condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// gone reports whether a process has ended, whether or not somebody has waited for it.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(string(out), "Z")
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

// What a killed process leaves behind is removed, and the sweeper ends.
func TestKilled(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	s := start(t, folder)
	until(t, "the sweeper's readiness", func() bool { return ignoresSignals(t, s.sweeper) })
	// The signals that end a group of processes are not for the sweeper.
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(s.sweeper, signal); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-s.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.Wait() // killed
	until(t, "the sweeper's end", func() bool { return gone(s.sweeper) })
	until(t, "the job's end", func() bool { return gone(s.job) && gone(s.grandchild) })
	if !absent(folder) {
		t.Error("the folder is still there")
	}
}

// A job that has ended is not killed: its number may be another's.
func TestGroupEnded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	s := start(t, folder)
	if _, err := io.WriteString(s.words, "ended\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	until(t, "the sweeper's end", func() bool { return gone(s.sweeper) })
	if !absent(folder) {
		t.Error("the folder is still there")
	}
	if gone(s.grandchild) {
		t.Error("the job was killed")
	}
}

// A process that has removed all itself has nothing swept.
func TestClose(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	s := start(t, folder)
	if _, err := io.WriteString(s.words, "done\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	if !gone(s.sweeper) {
		t.Error("the sweeper is still there")
	}
	if absent(folder) || gone(s.grandchild) {
		t.Error("something was swept")
	}
}

// Half an order, of a process that was killed in the middle of it, is none.
func TestHalfAnOrder(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone, \xff") // no text
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	var orders strings.Builder
	if err := (&Sweeper{orders: json.NewEncoder(&orders)}).Folder(gone); err != nil {
		t.Fatal(err)
	}
	half, err := json.Marshal(order{Folder: []byte(dir)})
	if err != nil {
		t.Fatal(err)
	}
	serve(strings.NewReader(orders.String() + string(half[:len(half)-2])))
	if !absent(gone) {
		t.Error("a folder was not removed whose name had come whole")
	}
	if absent(dir) {
		t.Error("a folder was removed whose name had not come whole")
	}
}
