package suites

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A suite is the test binary of a package, or another command that runs tests.
type suite struct {
	name    string
	command []string
	dir     string        // in which it runs: of its source
	env     []string      // besides what all suites have
	ginkgo  bool          // it knows Ginkgo's flags
	leaves  bool          // it leaves processes running
	cases   bool          // it is a script of Kubernetes', and says what became of each of its cases
	killed  time.Duration // instead of the usual one
	output  string        // of its last run: a file
}

// run runs a suite on links, and returns what became of its specs.
func (s *suite) run(t *testing.T, k *kind) *outcome {
	t.Helper()
	dir, err := os.MkdirTemp(temp, "run-")
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "report.json")
	command := slices.Clone(s.command)
	if s.ginkgo {
		command = append(command, "-ginkgo.json-report="+report)
		if left := skipped(listed(s.name, k)); left != "" {
			command = append(command, "-ginkgo.skip="+left)
		}
	}
	s.output = filepath.Join(dir, "output")
	begin := time.Now()
	ended := s.start(t, dir, k, command)
	o := &outcome{specs: map[string]verdict{}, seconds: time.Since(begin).Seconds(), ended: ended}
	reported, err := o.readReport(report)
	if s.cases {
		err = errors.Join(err, o.readCases(s.output))
	} else {
		err = errors.Join(err, o.readTests(s.output, reported))
	}
	if err == nil && len(o.specs) == 0 {
		err = errors.New("no spec has run")
	}
	if err != nil {
		t.Errorf("%v; the suite ended with %v, and has printed:\n%s", err, ended, tail(s.output))
	}
	return o
}

// start runs a command in a process group, temporary folder and network of its own. When it is done, all that it has
// started has ended: what has not is an error, and is killed.
func (s *suite) start(t *testing.T, dir string, k *kind, args []string) error {
	t.Helper()
	own := filepath.Join(dir, "tmp")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(s.output)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(interrupted, cmp.Or(s.killed, killed))
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir, command.Stdout, command.Stderr = s.dir, output, output
	command.Env = slices.Concat(environ(), []string{"KUBEBUILDER_ASSETS=" + k.dir, "TMPDIR=" + own, "HOME=" + own,
		"KUBECACHEDIR=" + filepath.Join(own, "kubectl")}, s.env)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	inOwnNetwork(command)
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	ended := command.Run()
	left, err := endProcesses("TMPDIR=" + own)
	if err = errors.Join(err, output.Close(), os.RemoveAll(own)); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s was killed: %v", s.name, context.Cause(ctx))
	} else if len(left) > 0 && !s.leaves {
		t.Errorf("%s has ended, and left running:\n%s", s.name, strings.Join(left, "\n"))
	}
	return ended
}

// tail is the end of what a suite has printed.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	const shown = 8000
	return string(text[max(0, len(text)-shown):])
}

// keep keeps what a suite has printed, and returns where.
func keep(t *testing.T, output string) string {
	t.Helper()
	kept, err := filepath.Abs(filepath.Join(*keepIn, t.Name()+".log"))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(kept), 0o755)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(output)
	}
	if err == nil {
		err = os.WriteFile(kept, text, 0o644)
	}
	if err != nil {
		return fmt.Sprintf("nothing: %v", err)
	}
	return kept
}
