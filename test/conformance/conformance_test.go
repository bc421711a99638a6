// Package conformance runs Kubernetes' own end-to-end tests, of which its conformance suite is a part, on clusters of
// km's, with simulated nodes or real ones. KM names km's binary; without it, it is bin/km of this checkout, which
// `make build` makes.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/test/conformance/images"
)

var (
	whole   = flag.Bool("whole", false, "all specs of the conformance suite, instead of a few minutes' worth")
	nodes   = flag.String("nodes", "", "what the specs run on, simulated or real; else on one after the other")
	procs   = flag.Int("procs", 8, "how many specs run at once")
	focusOn = flag.String("focus", "", "a pattern of specs; else those of the conformance suite")
	all     = flag.Bool("all", false, "also what cannot pass, and waits for that")
	keepIn  = flag.String("kept", "../../bin/conformance", "folder for reports, what was printed, and what is built")
	results = flag.String("results", "", "file that keeps what became of each spec of the conformance suite")
)

// limit is for all specs together. It is no expectation of speed.
const limit = 6 * time.Hour

// What stops servers or breaks nodes is not run, but for what the conformance suite has of it: two specs about taints.
const (
	conformance = `\[Conformance\]`
	disruptive  = `\[Disruptive\]`
)

// A cluster is what specs run on.
type cluster interface {
	// command is one that finds the cluster by KUBECONFIG.
	command(ctx context.Context, args ...string) *exec.Cmd
}

// The specs that are chosen pass. Of all of the conformance suite those may fail for which there is a reason.
func TestConformance(t *testing.T) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := newRun(t)
	r.build(ctx)
	for kind, newCluster := range map[string]func(context.Context, *run) cluster{simulatedNodes: newSimulated, realNodes: newReal} {
		if *nodes != "" && *nodes != kind {
			continue
		}
		t.Run(kind, func(t *testing.T) { r.on(t, kind).test(ctx, newCluster) })
	}
}

// test runs the chosen specs.
func (r *run) test(ctx context.Context, newCluster func(context.Context, *run) cluster) {
	t := r.t
	o := r.specs(ctx, newCluster(ctx, r))
	o.print(os.Stdout, r.kind)
	if len(o) == 0 {
		t.Error("no spec has run")
	}
	for _, name := range o.names() {
		s := o[name]
		switch listed := reasonOf(r.kind, name) != ""; {
		case s.State == "passed" && listed:
			t.Logf("it passes, and is listed as one that cannot: %s", name)
		case s.State != "passed" && s.State != "skipped" && !listed:
			t.Errorf("%s: %s\n%s", s.State, name, s.message)
		}
	}
	if *results != "" && !t.Failed() {
		if err := o.keep(*results, r); err != nil {
			t.Error(err)
		}
	}
}

// run has what the tests need.
type run struct {
	t      *testing.T
	kind   string // of nodes
	km     string
	bin    string // folder for what is built
	report string // folder for reports
	images []images.Image
}

func newRun(t *testing.T) *run {
	t.Helper()
	km := os.Getenv("KM")
	if km == "" {
		km = filepath.Join("..", "..", "bin", "km")
	}
	km, err := filepath.Abs(km)
	if err == nil {
		_, err = os.Stat(km)
	}
	if err != nil {
		t.Fatalf("no binary to test: %v; run `make build`, or name one with KM", err)
	}
	bin, err := filepath.Abs(filepath.Join(*keepIn, "built"))
	if err != nil {
		t.Fatal(err)
	}
	return &run{t: t, km: km, bin: bin}
}

// on is the run on one kind of nodes.
func (r *run) on(t *testing.T, kind string) *run {
	t.Helper()
	report, err := filepath.Abs(filepath.Join(*keepIn, kind))
	if err == nil {
		err = os.RemoveAll(report)
	}
	if err == nil {
		err = os.MkdirAll(report, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &run{t: t, kind: kind, km: r.km, bin: r.bin, report: report}
}

// containerd has the container runtime's programs.
const (
	containerd        = "github.com/containerd/containerd/v2/cmd/"
	containerdVersion = "v2.4.2"
)

// build builds Kubernetes' tests and ginkgo, as go.mod has their versions, and, for real nodes, containerd.
func (r *run) build(ctx context.Context) {
	r.t.Helper()
	commands := [][]string{
		{"build", "-o", filepath.Join(r.bin, "ginkgo"), "github.com/onsi/ginkgo/v2/ginkgo"},
		{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(r.bin, "e2e.test"), "k8s.io/kubernetes/test/e2e"},
	}
	if *nodes != simulatedNodes {
		commands = append(commands,
			// by its own go.mod: in one with Kubernetes, most of that would be compiled anew
			[]string{"install", "-ldflags=-s -w", containerd + "containerd@" + containerdVersion, containerd + "containerd-shim-runc-v2@" + containerdVersion})
	}
	for _, args := range commands {
		command := exec.CommandContext(ctx, "go", args...)
		command.Env = append(os.Environ(), "GOBIN="+r.bin)
		if out, err := command.CombinedOutput(); err != nil {
			r.t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// choice is what ginkgo is told of the specs: patterns of those that run, and of those that do not.
func (r *run) choice() (focus, skip string) {
	switch {
	case *focusOn != "":
		return *focusOn, disruptive
	case !*whole:
		return strings.Join(few[r.kind], "|"), ""
	case *all:
		return conformance, ""
	}
	return conformance, strings.Join(unablePatterns(r.kind), "|")
}

// specs runs them, and returns what became of them. Ginkgo runs those that are [Serial] by themselves, after the
// others.
func (r *run) specs(ctx context.Context, c cluster) outcome {
	r.t.Helper()
	printed, err := os.Create(filepath.Join(r.report, "printed"))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	focus, skip := r.choice()
	command := c.command(ctx, filepath.Join(r.bin, "ginkgo"), fmt.Sprint("--procs=", *procs), "--no-color", "--silence-skips", "--timeout="+limit.String(),
		"--focus="+focus, "--skip="+skip, "--output-dir="+r.report, "--json-report=report.json", "--junit-report=junit.xml",
		filepath.Join(r.bin, "e2e.test"), "--", "--provider=skeleton")
	command.Stdout, command.Stderr = printed, printed
	ended := command.Run()
	if err := printed.Close(); err != nil {
		r.t.Error(err)
	}
	o, err := readReport(filepath.Join(r.report, "report.json"))
	if err != nil {
		r.t.Errorf("%v (%v); what was printed is in %s", err, ended, printed.Name())
	}
	return o
}

// simulated is a cluster with simulated nodes, for each command another one.
type simulated struct {
	t  *testing.T
	km string
}

func newSimulated(_ context.Context, r *run) cluster { return &simulated{r.t, r.km} }

// command runs a command in a cluster of its own. There are two nodes, as specs about several want.
func (s *simulated) command(ctx context.Context, args ...string) *exec.Cmd {
	home := s.t.TempDir()
	c := exec.CommandContext(ctx, s.km, append([]string{"run", "--ephemeral", "--free-ports", "--quiet", "--executor.nodes=2", "--"}, args...)...)
	c.Env = append(environment(), "HOME="+home, "TMPDIR="+home)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // km ends the command with itself
	c.WaitDelay = time.Minute
	return c
}

// environment is this process's without what would lead km or its clients elsewhere.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(set string) bool {
		return strings.HasPrefix(set, "KM_") || strings.HasPrefix(set, "KUBECONFIG=") || strings.HasPrefix(set, "XDG_")
	})
}
