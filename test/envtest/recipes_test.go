package envtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

// recipes are the blocks of code in the topic about CI, each with the word behind its fence.
func recipes(t *testing.T) (words, blocks []string) {
	t.Helper()
	text := read(t, filepath.Join("..", "..", "servers", "km", "ci.md"))
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		words, blocks = append(words, m[1]), append(blocks, m[2])
	}
	return words, blocks
}

// recipe is the only block with that word, and with that text in it.
func recipe(t *testing.T, word, text string) string {
	t.Helper()
	words, blocks := recipes(t)
	var found []string
	for i, b := range blocks {
		if words[i] == word && strings.Contains(b, text) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks of %s in ci.md have %q, want 1", len(found), word, text)
	}
	return found[0]
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// project is a folder with somebody's module, whose suite uses envtest.
type project struct {
	t         *testing.T
	dir       string
	installed string // file to which each go install adds a line
	ran       string // the same for each run of the suite
	bin       string // folder of the go that is called
}

// stub is a go that has km at hand instead of compiling it.
const stub = `#!/bin/sh
case "$*" in
"install "*" github.com/seed-200a7251/km/cmd/km@"*)
	echo "$*" >>'%s'
	mkdir -p "$GOBIN" && exec cp '%s' "$GOBIN/km" ;;
esac
exec '%s' "$@"
`

func newProject(t *testing.T) *project {
	t.Helper()
	gocommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &project{t: t, dir: filepath.Join(dir, "project"), installed: filepath.Join(dir, "installed"), ran: filepath.Join(dir, "ran"), bin: filepath.Join(dir, "bin")}
	p.write("suite_test.go", read(t, filepath.Join("testdata", "suite.txt")))
	p.write("go.sum", read(t, "go.sum"))
	p.write("go.mod", strings.Replace(read(t, "go.mod"), "\nmodule github.com/seed-200a7251/km/test/envtest\n", "\nmodule project.invalid/project\n", 1))
	p.write("../bin/go", fmt.Sprintf(stub, p.installed, binary, gocommand))
	return p
}

// write writes a file that may be executed.
func (p *project) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		p.t.Fatal(err)
	}
}

// must runs a command in the project's folder, with more environment.
func (p *project) must(env []string, name string, args ...string) {
	p.t.Helper()
	// It compiles and links, if that has not been done yet, before it starts anything.
	ctx, cancel := context.WithTimeout(p.t.Context(), 3*patience)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Cancel = func() error { // those in Go print their stacks
		for _, pid := range append(descendantsOf(command.Process.Pid), command.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGQUIT) // it may have ended
		}
		return nil
	}
	command.WaitDelay = quitLimit
	command.Dir = p.dir
	command.Env = append(append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"), "RAN="+p.ran), env...)
	if out, err := command.CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v (%v)\n%s", name, strings.Join(args, " "), err, ctx.Err(), out)
	}
}

// wantInstalled checks which versions of km have been installed, in order.
func (p *project) wantInstalled(versions ...string) {
	p.t.Helper()
	var found []string
	for line := range strings.Lines(read(p.t, p.installed)) {
		_, version, _ := strings.Cut(strings.TrimSpace(line), "@")
		found = append(found, version)
	}
	if got, want := strings.Join(found, " "), strings.Join(versions, " "); got != want {
		p.t.Errorf("installed are km@%s, want %s", got, want)
	}
}

// wantRuns checks which runs of the suite there were.
func (p *project) wantRuns(runs ...string) {
	p.t.Helper()
	if got, want := strings.Join(strings.Fields(read(p.t, p.ran)), " "), strings.Join(runs, " "); got != want {
		p.t.Errorf("the suite ran: %s, want %s", got, want)
	}
}

// kubebuilder is what the Makefile that kubebuilder makes has, of what the fragment refers to.
const kubebuilder = `SHELL = /usr/bin/env bash -o pipefail
.SHELLFLAGS = -ec

.PHONY: manifests generate fmt vet
manifests generate:
fmt:
	go fmt ./...
vet:
	go vet ./...

LOCALBIN ?= $(shell pwd)/bin
$(LOCALBIN):
	mkdir -p $(LOCALBIN)

`

// The fragment for a Makefile of kubebuilder's builds km once for each version, and tests with it.
func TestMakefile(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.write("Makefile", kubebuilder+recipe(t, "make", "setup-envtest:"))
	p.must(nil, "make", "test")
	p.wantRuns("alone")
	if !strings.HasPrefix(read(t, filepath.Join(p.dir, "cover.out")), "mode:") {
		t.Error("make test leaves no cover.out")
	}
	p.must(nil, "make", "setup-envtest")
	p.wantInstalled("VERSION") // once
	p.must(nil, "make", "setup-envtest", "KM_VERSION=v2")
	p.wantInstalled("VERSION", "v2")
}

// The steps for GitHub Actions run as they stand. What an action does is not tested.
func TestGitHub(t *testing.T) {
	t.Parallel()
	var workflow struct {
		Name string
		On   []string
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Env    map[string]string
			Steps  []struct {
				ID, If, Uses, Run string
				With              map[string]string
			}
		}
	}
	strictly(t, recipe(t, "yaml", "jobs:"), &workflow)
	p := newProject(t)
	job := workflow.Jobs["test"]
	if len(workflow.On) == 0 || job.RunsOn == "" {
		t.Errorf("the job runs on %q, when %v", job.RunsOn, workflow.On)
	}
	var env []string
	for name, value := range job.Env {
		env = append(env, name+"="+strings.ReplaceAll(value, "${{ github.workspace }}", p.dir))
	}
	cached := 0 // restored, and saved
	for _, step := range job.Steps {
		if (step.Uses == "") == (step.Run == "") {
			t.Errorf("a step has to use something or to run something: %+v", step)
		}
		if strings.HasPrefix(step.Uses, "actions/cache/") && step.With["path"] == "bin/km" && strings.Contains(step.With["key"], "${{ env.KM_VERSION }}") {
			cached++
		}
		if step.Run != "" {
			p.must(env, "bash", "-e", "-c", step.Run)
		}
	}
	if cached != 2 {
		t.Error("the binary is not kept, or under a key that is not of its version")
	}
	p.wantInstalled("VERSION")
	p.wantRuns("alone", "with controllers")
}

// The job for GitLab runs as it stands.
func TestGitLab(t *testing.T) {
	t.Parallel()
	var pipeline map[string]struct {
		Image     string
		Variables map[string]string
		Cache     struct {
			Key   string
			Paths []string
			When  string
		}
		Script []string
	}
	strictly(t, recipe(t, "yaml", "script:"), &pipeline)
	p := newProject(t)
	job := pipeline["test"]
	if job.Image == "" || job.Cache.Key != "km-$KM_VERSION" || strings.Join(job.Cache.Paths, " ") != "bin/km" {
		t.Errorf("the job's image is %q, its cache %+v", job.Image, job.Cache)
	}
	var env []string
	for name, value := range job.Variables {
		env = append(env, name+"="+strings.ReplaceAll(value, "$CI_PROJECT_DIR", p.dir))
	}
	p.must(env, "sh", "-e", "-c", strings.Join(job.Script, "\n"))
	p.wantInstalled("VERSION")
	p.wantRuns("alone", "with controllers")
}

// strictly reads YAML in which there is nothing unknown.
func strictly(t *testing.T, text string, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
}

// The recipes tell the servers the version that they have.
func TestVersion(t *testing.T) {
	t.Parallel()
	required := requiredVersion(t)
	_, blocks := recipes(t)
	told := regexp.MustCompile(`version\.gitVersion=([^\s"]+)`).FindAllStringSubmatch(strings.Join(blocks, ""), -1)
	if len(told) != 4 {
		t.Errorf("%d recipes build km, want 4", len(told))
	}
	for _, m := range told {
		if m[1] != required {
			t.Errorf("a recipe says that Kubernetes is %s; it is %s", m[1], required)
		}
	}
	folders := regexp.MustCompile("/k8s/([0-9.]+)-").FindAllStringSubmatch(read(t, filepath.Join("..", "..", "servers", "kmtest", "topics", "tests.md")), -1)
	if len(folders) != 2 {
		t.Errorf("%d folders for links are named, want setup-envtest's and Java's", len(folders))
	}
	for _, m := range folders {
		if "v"+m[1] != required {
			t.Errorf("a folder for links is named after Kubernetes %s; it is %s", m[1], required)
		}
	}
}

// requiredVersion is that of Kubernetes, which km has.
func requiredVersion(t *testing.T) string {
	t.Helper()
	required := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v\S+)`).FindStringSubmatch(read(t, filepath.Join("..", "..", "go.mod")))
	if required == nil {
		t.Fatal("km's go.mod does not require k8s.io/kubernetes")
	}
	return required[1]
}
