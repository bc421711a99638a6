package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// outside is a program of somebody else's, who uses the framework and one of the servers.
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

// The module can be used from another one. km's go.mod has no replace directive: those of a dependency do not count, so
// that upstream's modules would be asked for in versions that do not exist. (The one here stands for a published version of
// km itself.)
func TestImport(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(string(own)) {
		if strings.HasPrefix(line, "replace") || strings.HasPrefix(line, "exclude") {
			t.Errorf("go.mod has a directive that does not count for others: %s", line)
		}
	}
	dir := t.TempDir()
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.go": outside,
		"go.sum":  string(sum),
		"go.mod": "module outside.invalid/outside\n\ngo 1.26.0\n\nrequire github.com/seed-200a7251/km v0.0.0\n\n" +
			"replace github.com/seed-200a7251/km => " + root + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-ldflags=-s -w", "-o", "outside", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program := filepath.Join(dir, "outside")
	if r := newHome(t).do(t, program, "run", "--nonsense"); r.code != 2 {
		t.Errorf("exit code %d, want 2\n%s", r.code, r.stderr)
	}
	if r := newHome(t).do(t, program, "help", "scheduler"); r.code != 0 || !strings.Contains(r.stdout, "--scheduler.FLAG") {
		t.Errorf("exit code %d\n%s", r.code, r.stdout)
	}
}
