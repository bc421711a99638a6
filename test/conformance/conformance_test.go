// Package conformance runs Kubernetes' own end-to-end tests, of which its conformance suite is a part, on a cluster of
// km's with simulated nodes. KM names km's binary; without it, it is bin/km of this checkout, which `make build` makes.
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
)

var (
	procs   = flag.Int("procs", 8, "how many specs run at once")
	focus   = flag.String("focus", "", "a pattern of specs; else those of the conformance suite")
	all     = flag.Bool("all", false, "also what cannot pass on simulated nodes, and waits for that")
	keepIn  = flag.String("kept", "../../bin/conformance", "folder for reports and what was printed")
	results = flag.String("results", "", "file that keeps what became of each spec of the conformance suite")
)

// limit is for all specs together. It is no expectation of speed.
const limit = 6 * time.Hour

// Specs that disturb others run by themselves, after them, and those that stop servers not at all.
const (
	conformance = `\[Conformance\]`
	serial      = `\[Serial\]`
	disruptive  = `\[Disruptive\]`
)

// The specs that are chosen pass. Of all of the conformance suite those may fail for which unable has a reason.
func TestConformance(t *testing.T) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := newRun(t)
	r.build(ctx)
	o := outcome{}
	for _, part := range r.parts() {
		t.Logf("%s: %d at once", part.name, part.procs)
		o.add(r.specs(ctx, part))
	}
	o.print(os.Stdout)
	if len(o) == 0 {
		t.Error("no spec has run")
	}
	for _, name := range o.names() {
		s := o[name]
		switch listed := reasonOf(name) != ""; {
		case s.State == "passed" && listed:
			t.Logf("it passes, and is listed as one that cannot: %s", name)
		case s.State != "passed" && s.State != "skipped" && !listed:
			t.Errorf("%s: %s\n%s", s.State, name, s.message)
		}
	}
	if *results != "" && !t.Failed() {
		if err := o.keep(*results, r.km); err != nil {
			t.Error(err)
		}
	}
}

// A part is a choice of specs that run together.
type part struct {
	name        string
	procs       int
	focus, skip string
}

// run has what the tests need.
type run struct {
	t      *testing.T
	km     string
	bin    string // folder for what is built
	report string // folder for reports
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
	report, err := filepath.Abs(*keepIn)
	if err == nil {
		err = os.RemoveAll(report)
	}
	if err == nil {
		err = os.MkdirAll(report, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &run{t: t, km: km, bin: t.TempDir(), report: report}
}

// build builds Kubernetes' tests and ginkgo, as go.mod has their versions.
func (r *run) build(ctx context.Context) {
	r.t.Helper()
	for _, args := range [][]string{
		{"build", "-o", filepath.Join(r.bin, "ginkgo"), "github.com/onsi/ginkgo/v2/ginkgo"},
		{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(r.bin, "e2e.test"), "k8s.io/kubernetes/test/e2e"},
	} {
		if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
			r.t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func (r *run) parts() []part {
	if *focus != "" {
		return []part{{"chosen", *procs, *focus, disruptive}}
	}
	together, alone := part{"together", *procs, conformance, serial + "|" + disruptive}, part{"alone", 1, conformance + `.*` + serial + `|` + serial + `.*` + conformance, disruptive}
	if !*all {
		for _, p := range []*part{&together, &alone} {
			p.skip = strings.Join(append([]string{p.skip}, unablePatterns()...), "|")
		}
	}
	return []part{together, alone}
}

// specs runs a part in a cluster of its own, and returns what became of its specs.
func (r *run) specs(ctx context.Context, p part) outcome {
	r.t.Helper()
	report := filepath.Join(r.report, p.name)
	if err := os.MkdirAll(report, 0o755); err != nil {
		r.t.Fatal(err)
	}
	printed, err := os.Create(filepath.Join(report, "printed"))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	home := r.t.TempDir()
	// Two nodes, as specs about several want.
	command := exec.CommandContext(ctx, r.km, "run", "--ephemeral", "--free-ports", "--quiet", "--executor.nodes=2", "--",
		filepath.Join(r.bin, "ginkgo"), fmt.Sprint("--procs=", p.procs), "--no-color", "--silence-skips", "--timeout="+limit.String(),
		"--focus="+p.focus, "--skip="+p.skip, "--output-dir="+report, "--json-report=report.json", "--junit-report=junit.xml",
		filepath.Join(r.bin, "e2e.test"), "--", "--provider=skeleton")
	command.Env = append(slices.DeleteFunc(os.Environ(), func(set string) bool {
		return strings.HasPrefix(set, "KM_") || strings.HasPrefix(set, "KUBECONFIG=")
	}), "HOME="+home, "TMPDIR="+home)
	command.Stdout, command.Stderr = printed, printed
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // km ends the command with itself
	command.WaitDelay = time.Minute
	ended := command.Run()
	if err := printed.Close(); err != nil {
		r.t.Error(err)
	}
	o, err := readReport(filepath.Join(report, "report.json"))
	if err != nil {
		r.t.Errorf("%s: %v (%v); what was printed is in %s", p.name, err, ended, printed.Name())
	}
	return o
}
