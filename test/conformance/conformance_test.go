// Package conformance runs Kubernetes' own end-to-end tests, of which its conformance suite is a part, on clusters of
// km's, with simulated nodes or real ones. KM names km's binary; without it, it is bin/km of this checkout, which
// `make build` makes.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	imageutils "k8s.io/kubernetes/test/utils/image"

	"github.com/seed-200a7251/km/test/conformance/images"
	"github.com/seed-200a7251/km/test/skip"
)

var (
	whole    = flag.Bool("whole", false, "all specs of the conformance suite, instead of a few minutes' worth")
	nodes    = flag.String("nodes", "", "what the specs run on, simulated or real; else on one after the other")
	procs    = flag.Int("procs", 8, "how many specs run at once")
	focusOn  = flag.String("focus", "", "a pattern of specs; else those of the conformance suite")
	labels   = flag.String("labels", "", "further what ginkgo's --label-filter is to be, such as 'Feature: isEmpty && !Slow'")
	with     = flag.String("with", "", "further flags of km run, separated by blanks")
	all      = flag.Bool("all", false, "also what cannot pass, and waits for that")
	official = flag.Bool("official", false, "as for a submission to the CNCF, where that can be: in a pod of the cluster, started by hydrophone")
	keepIn   = flag.String("kept", "../../bin/conformance", "folder for reports, what was printed, and what is built")
	results  = flag.String("results", "", "file that keeps what became of each spec of the conformance suite")
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
	// command is one that finds the cluster by KUBECONFIG. It is for run.
	command(ctx context.Context, args ...string) *exec.Cmd
	// run runs it, to its end.
	run(command *exec.Cmd) error
}

// hydrophone is the CNCF's runner of the suite.
const hydrophone = "sigs.k8s.io/hydrophone@v0.8.0"

// The specs that are chosen pass. Of all of the conformance suite those may fail for which there is a reason.
func TestConformance(t *testing.T) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := newRun(t)
	r.build(ctx)
	for _, on := range []struct {
		kind       string
		newCluster func(context.Context, *run) cluster
	}{{simulatedNodes, newSimulated}, {realNodes, newReal}} {
		if *nodes == "" || *nodes == on.kind {
			t.Run(on.kind, func(t *testing.T) { r.on(t, on.kind).test(ctx, on.newCluster) })
		}
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
		case s.State == "passed" || listed:
		case s.State == "skipped" && *focusOn != "": // it has seen that this cluster is not for it; no other may do so
		default:
			t.Errorf("%s: %s\n%s", s.State, name, s.message)
		}
	}
	focus, _ := r.choice()
	for _, pattern := range focus {
		if !slices.ContainsFunc(o.names(), regexp.MustCompile(pattern).MatchString) {
			t.Errorf("no spec is called %s", pattern)
		}
	}
	if *results != "" {
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

// build builds Kubernetes' tests and ginkgo, as go.mod has their versions. The tests know their own by what is linked
// in: without, a spec looks for pods that were valid in version 0.
func (r *run) build(ctx context.Context) {
	r.t.Helper()
	version := strings.TrimSpace(r.goTool(ctx, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"))
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	const variable = " -X k8s.io/component-base/version."
	r.goTool(ctx, "build", "-o", filepath.Join(r.bin, "ginkgo"), "github.com/onsi/ginkgo/v2/ginkgo")
	r.goTool(ctx, "test", "-c", "-vet=off", "-o", filepath.Join(r.bin, "e2e.test"),
		"-ldflags=-s -w"+variable+"gitVersion="+version+variable+"gitMajor="+numbers[0]+variable+"gitMinor="+numbers[1], "k8s.io/kubernetes/test/e2e")
	// Specs about kubectl run one by this name, and one copies it into a pod: a hard link, where that can be.
	link := filepath.Join(r.bin, "kubectl")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	if os.Link(r.km, link) != nil {
		if err := os.Symlink(r.km, link); err != nil {
			r.t.Fatal(err)
		}
	}
}

// goTool runs a command of Go's, and returns what it prints. What it installs goes to the folder for what is built.
func (r *run) goTool(ctx context.Context, args ...string) string {
	r.t.Helper()
	command := exec.CommandContext(ctx, "go", args...)
	command.Env = append(os.Environ(), "GOBIN="+r.bin)
	var says bytes.Buffer
	command.Stderr = &says
	printed, err := command.Output()
	if err != nil {
		r.t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, printed, &says)
	}
	return string(printed)
}

// choice is what ginkgo is told of the specs: patterns of those that run, and of those that do not.
func (r *run) choice() (focus, skip []string) {
	switch f := few[r.kind]; {
	case *focusOn != "":
		return []string{*focusOn}, []string{disruptive}
	case !*whole:
		return f.focus, slices.Concat(f.skip, unablePatterns(r.kind))
	case *all:
		return []string{conformance}, nil
	}
	return []string{conformance}, unablePatterns(r.kind)
}

// runner is what runs specs, with its arguments. It finds the cluster by KUBECONFIG.
func (r *run) runner(ctx context.Context) []string {
	r.t.Helper()
	focus, skip := r.choice()
	chosen := []string{"--focus=" + strings.Join(focus, "|"), "--skip=" + strings.Join(skip, "|")}
	if *official && r.kind == realNodes {
		r.goTool(ctx, "install", "-ldflags=-s -w", hydrophone)
		return append([]string{filepath.Join(r.bin, "hydrophone"), fmt.Sprint("--parallel=", *procs),
			"--busybox-image=" + imageutils.GetE2EImage(imageutils.BusyBox), "--output-dir=" + r.report}, chosen...)
	}
	return slices.Concat([]string{filepath.Join(r.bin, "ginkgo"), fmt.Sprint("--procs=", *procs), "--no-color", "--silence-skips",
		"--timeout=" + limit.String(), "--label-filter=" + *labels}, chosen,
		[]string{filepath.Join(r.bin, "e2e.test"), "--", "--provider=skeleton", "--report-dir=" + r.report})
}

// specs runs them, and returns what became of them. Ginkgo runs those that are [Serial] by themselves, after the
// others.
func (r *run) specs(ctx context.Context, c cluster) outcome {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	command := c.command(ctx, r.runner(ctx)...)
	printed, err := os.Create(filepath.Join(r.report, "printed"))
	if err != nil {
		r.t.Fatal(err)
	}
	command.Env = append(command.Env, "PATH="+r.bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	command.Stdout, command.Stderr = printed, printed
	ended := c.run(command)
	if err := printed.Close(); err != nil {
		r.t.Error(err)
	}
	o, err := readReport(filepath.Join(r.report, reportName))
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
	c := exec.CommandContext(ctx, s.km, slices.Concat([]string{"run", "--ephemeral", "--free-ports", "--quiet", "--executor.nodes=2"}, strings.Fields(*with), []string{"--"}, args)...)
	c.Env = append(environment(), "HOME="+home, "TMPDIR="+home)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // km ends the command with itself
	c.WaitDelay = time.Minute
	return c
}

func (s *simulated) run(command *exec.Cmd) error { return command.Run() }

// environment is this process's without what would lead km or its clients elsewhere.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(set string) bool {
		return strings.HasPrefix(set, "KM_") || strings.HasPrefix(set, "KUBECONFIG=") || strings.HasPrefix(set, "XDG_")
	})
}

// skipOrFail skips the test if it is one of `make test`, and not on CI. Who asks for it alone wants it.
func skipOrFail(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("KM_SKIPPED") == "" {
		t.Fatal(why)
	}
	skip.OrFail(t, why)
}
