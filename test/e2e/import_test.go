package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// outside is a program of somebody else's, who uses the framework and some of the servers.
const outside = `package main

import (
	"context"
	"os"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/scheduler"
	"github.com/seed-200a7251/km/supervisor"
)

func main() {
	hk := &supervisor.HyperKube{Name: "outside", Long: "A program elsewhere."}
	hk.AddServer(&supervisor.Server{SimpleUsage: "own", Long: "Its own.", Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
		<-ctx.Done()
		return nil
	}})
	c := cluster.New()
	hk.AddServer(etcd.New(c))
	hk.AddServer(scheduler.New(c))
	hk.RunToExit(os.Args)
}
`

// outsideTest is a test of theirs, on a cluster in its own process.
const outsideTest = `package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}})
	client := kubernetes.NewForConfigOrDie(cluster.Config)
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), cluster.Namespace(t), metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
`

// The module can be used from another one as it would be if it were published: by its version, from a module proxy,
// with no replace directive. (Those of a dependency do not count, so with one of its own upstream's modules would be
// asked for in versions that do not exist.) And the binary can be installed by its version.
func TestModule(t *testing.T) {
	t.Parallel()
	version, environment := publish(t)
	dir := t.TempDir()
	sum, err := os.ReadFile(filepath.Join("..", "..", "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "main.go"), outside)
	writeFile(t, filepath.Join(dir, "main_test.go"), outsideTest)
	writeFile(t, filepath.Join(dir, "go.sum"), string(sum))
	writeFile(t, filepath.Join(dir, "go.mod"), "module outside.invalid/outside\n\ngo 1.26.0\n\nrequire "+modulePath+" "+version+"\n")
	h := newHome(t)
	run := func(args ...string) {
		t.Helper()
		inModule := func(cmd *exec.Cmd) { cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...) }
		if p := h.startWith(t, inModule, "go", args...); p.works() != 0 {
			t.Fatalf("go %s: exit code %d", strings.Join(args, " "), p.code)
		}
	}
	program := filepath.Join(dir, "outside")
	run("build", "-x", "-mod=mod", "-ldflags=-s -w", "-o", program, ".")
	if r := h.do(t, program, "run", "--nonsense"); r.code != 2 {
		t.Errorf("exit code %d, want 2\n%s", r.code, r.stderr)
	}
	if r := h.do(t, program, "help", "scheduler"); r.code != 0 || !strings.Contains(r.stdout, "--scheduler.FLAG") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
	run("test", "-c", "-x", "-mod=mod", "-ldflags=-s -w", "-o", program+".test", ".")
	if r := h.do(t, program+".test", "-test.v"); r.code != 0 || !strings.Contains(r.stdout, "--- PASS: TestCluster") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	environment = append(environment, "GOBIN="+dir)
	run("install", "-x", "-ldflags=-s -w", modulePath+"/cmd/km@"+version)
	if r := h.do(t, filepath.Join(dir, "km"), "version"); r.code != 0 || !strings.Contains(r.stdout, version) {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
}

// works returns the exit code of a process that says what it does, which may take as long as the machine needs for it:
// it hangs when it has said nothing, and next to nothing has run, for as long as patience. (A link is one word.)
func (p *process) works() int {
	p.t.Helper()
	for used := 0; ; {
		p.stderr.mu.Lock()
		more := p.stderr.change
		p.stderr.mu.Unlock()
		select {
		case <-p.done:
			return p.code
		case <-more:
		case <-time.After(patience):
			before := used
			if used = cpuTime(p.cmd.Process.Pid); used >= before+100 {
				continue
			}
			hang(p.t, "the next word of "+strings.Join(p.cmd.Args, " "))
		}
	}
}

// cpuTime is what a process and its children have used of the machine's cores, in hundredths of a second, as far as
// that can be seen (proc_pid_stat(5)).
func cpuTime(pid int) (used int) {
	for _, pid := range append(childrenOf(pid), pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // it may have ended
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 14 {
			for _, ticks := range f[11:15] { // its own, and that of children that have ended
				n, _ := strconv.Atoi(ticks) // the kernel's numbers
				used += n
			}
		}
	}
	return used
}

// modulePath is km's.
const modulePath = "github.com/seed-200a7251/km"

// publish puts the module, as it is in this checkout, on a proxy in a folder. It returns its version there, and the
// environment in which the go command finds it. What the go command keeps of it is removed with the test.
func publish(t *testing.T) (version string, environment []string) {
	t.Helper()
	var text bytes.Buffer
	// The version is in the zip: it says what is in it, so that no other content is taken from a cache.
	sum := sha256.New()
	files := moduleFiles(t)
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, f.Path())
		if _, err := io.Copy(sum, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	version = fmt.Sprintf("v0.0.0-e2e.x%x", sum.Sum(nil)[:8])
	if err := modzip.Create(&text, module.Version{Path: modulePath, Version: version}, files); err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	at := filepath.Join(proxy, modulePath, "@v", version)
	writeFile(t, at+".zip", text.String())
	writeFile(t, filepath.Join(filepath.Dir(at), "list"), version+"\n")
	writeFile(t, at+".info", fmt.Sprintf(`{"Version": %q}`, version))
	mod, err := zip.NewReader(bytes.NewReader(text.Bytes()), int64(text.Len()))
	if err != nil {
		t.Fatal(err)
	}
	own, err := mod.Open(modulePath + "@" + version + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := io.ReadAll(own)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, at+".mod", string(goMod))
	for _, line := range lines(string(goMod)) {
		if strings.HasPrefix(line, "replace") || strings.HasPrefix(line, "exclude") {
			t.Errorf("go.mod has a directive that does not count for others: %s", line)
		}
	}
	cache := goEnv(t, "GOMODCACHE")
	t.Cleanup(func() {
		for _, path := range []string{filepath.Join(cache, modulePath+"@"+version), filepath.Join(cache, "cache", "download", modulePath, "@v", version+".*")} {
			found, _ := filepath.Glob(path) // the pattern is one
			for _, f := range found {
				if err := os.RemoveAll(f); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return version, []string{
		"GOPROXY=file://" + proxy + "," + goEnv(t, "GOPROXY"),
		"GONOSUMDB=" + modulePath,
		"GOFLAGS=" + goEnv(t, "GOFLAGS") + " -modcacherw",
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// moduleFile is a file of the module.
type moduleFile struct{ root, path string }

func (f moduleFile) Path() string                 { return f.path }
func (f moduleFile) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(f.root, f.path)) }
func (f moduleFile) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(f.root, f.path)) }

// moduleFiles are the files that git has, or would have, in the module: not those of the modules below it.
func moduleFiles(t *testing.T) (files []modzip.File) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	git := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	git.Dir = root
	out, err := git.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	paths := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var others []string
	for _, path := range paths {
		if dir, found := strings.CutSuffix(path, "/go.mod"); found {
			others = append(others, dir+"/")
		}
	}
next:
	for _, path := range paths {
		for _, other := range others {
			if strings.HasPrefix(path, other) {
				continue next
			}
		}
		// it may have been removed, and that not been committed
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			files = append(files, moduleFile{root, path})
		}
	}
	return files
}
