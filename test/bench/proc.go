//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proc is one process that the bench has started. It leads a process group of its own, so that a Ctrl-C in the terminal
// reaches the bench alone, and so that what it starts itself ends with it.
type proc struct {
	name  string
	cmd   *exec.Cmd
	log   string // file with what it writes
	began time.Time
	done  chan struct{} // closed when it has ended
	ended time.Time     // valid after done
	err   error         // valid after done
}

// startProc starts a program. Its output goes to a file in dir, and its standard output to tee as well if that is not
// nil. It sees nothing of the user's environment: variables with the names of etcd's flags, a KUBECONFIG or a GOGC
// would change what is measured.
func startProc(name, path, dir string, tee io.Writer, args ...string) (*proc, error) {
	p := &proc{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if tee != nil {
		p.cmd.Stdout = tee
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 2 * time.Second
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.ended = time.Now()
		close(p.done)
	}()
	return p, nil
}

func (p *proc) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// terminate asks the process to end, and waits for it.
func (p *proc) terminate(ctx context.Context) error {
	if !p.running() {
		return fmt.Errorf("%s has ended by itself: %w", p.name, p.failure())
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended after SIGTERM: %w", p.name, context.Cause(ctx))
	}
}

// kill ends the process and its group at once. It is for what terminate has not ended.
func (p *proc) kill() {
	if !p.running() {
		return // the number may belong to another process by now
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// endedBy reports whether the process, which has ended, was ended by the signal.
func (p *proc) endedBy(signal syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// failure tells how the process has ended, with the last line that it wrote.
func (p *proc) failure() error {
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// ticks is how many units of CPU time in /proc are one second: for programs Linux always counts in hundredths.
const ticks = 100

// cpu is the CPU time that the process has used, all its threads together, the ended ones included.
func (p *proc) cpu() (seconds float64, err error) {
	text, err := readProc(p.cmd.Process.Pid, "stat")
	if err != nil {
		return 0, err
	}
	// The name in parentheses may have blanks in it. What follows begins with field 3, the state.
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: /proc/PID/stat has an unknown shape", p.name)
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks, err
}

func (p *proc) rss() (megabytes float64, err error) {
	return memory(p.cmd.Process.Pid, "status", "VmRSS")
}

// anonymous is the part of rss that is not pages of files, such as the program's.
func (p *proc) anonymous() (megabytes float64, err error) {
	return memory(p.cmd.Process.Pid, "status", "RssAnon")
}

// pss counts a page that n processes share as the n-th part of one.
func (p *proc) pss() (megabytes float64, err error) {
	return memory(p.cmd.Process.Pid, "smaps_rollup", "Pss")
}

// memory is a field of a file in /proc/PID that counts kB.
func memory(pid int, file, field string) (megabytes float64, err error) {
	text, err := readProc(pid, file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kB, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kB * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/PID/%s", field, file)
}

func readProc(pid int, file string) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	return string(text), err
}

// lineTimer is a writer that notes when a line that contains some text was written.
type lineTimer struct {
	text []byte
	out  string // file that gets everything

	mu   sync.Mutex
	all  []byte
	once sync.Once
	seen chan time.Time
}

func newLineTimer(text, out string) *lineTimer {
	return &lineTimer{text: []byte(text), out: out, seen: make(chan time.Time, 1)}
}

func (l *lineTimer) Write(data []byte) (int, error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, data...)
	if bytes.Contains(l.all, l.text) {
		l.once.Do(func() { l.seen <- now })
	}
	return len(data), os.WriteFile(l.out, l.all, 0o600)
}
