package suites

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// kubebuilder makes projects, and suites with them.
var kubebuilder = &module{name: "kubebuilder", path: "sigs.k8s.io/kubebuilder/v4", version: "v4.16.0"}

// scaffold has kubebuilder make a project that has an API, its controller and its webhooks.
const scaffold = `set -eu
GOBIN="$PWD/tools" go install "$KUBEBUILDER"
mkdir greeting
cd greeting
../tools/kubebuilder init --domain example.com --repo example.com/greeting
../tools/kubebuilder create api --group games --version v1 --kind Greeting --resource --controller
../tools/kubebuilder create webhook --group games --version v1 --kind Greeting --defaulting --programmatic-validation
make controller-gen envtest
go mod download
`

// testKubebuilder tests that the project's `make test` passes as it is. It would have setup-envtest download binaries:
// either km's links are in the folder where that looks first, or it is told to take those of the environment.
func testKubebuilder(t *testing.T) {
	dir := t.TempDir()
	command := exec.CommandContext(interrupted, "sh", "-c", scaffold)
	command.Dir = dir
	command.Env = append(environ(), "GOWORK=off", "KUBEBUILDER="+kubebuilder.path+"@"+kubebuilder.version)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("kubebuilder: %v\n%s", err, out)
	}
	s := &suite{name: kubebuilder.name, dir: filepath.Join(dir, "greeting"), command: []string{"make", "test"}}
	// The home folder is another one, where the go tool would make its caches anew; -v has it print the tests' names.
	flags := "GOFLAGS=" + os.Getenv("GOFLAGS") + " -v -count=1"
	s.env = append(goEnv(t, "GOPATH", "GOCACHE", "GOMODCACHE"), "GOWORK=off", flags)
	installed := filepath.Join(s.dir, "bin", "k8s")
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if k.with == "" {
				makeLinksIn(t, installed)
			} else {
				s.env = append(s.env, "ENVTEST_USE_ENV=yes")
			}
			testRun(t, kubebuilder, s, k)
			if err := os.RemoveAll(installed); err != nil { // the suite would take them nevertheless
				t.Error(err)
			}
		})
	}
}

// makeLinksIn makes links where setup-envtest keeps what it has downloaded.
func makeLinksIn(t *testing.T, installed string) {
	t.Helper()
	_, kubernetes, err := versions()
	if err != nil {
		t.Fatal(err)
	}
	number := strings.TrimPrefix(kubernetes, "Kubernetes v")
	folder := filepath.Join(installed, number+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	if out, err := exec.Command(binary, "--make-symlinks", "--dir", folder).CombinedOutput(); err != nil {
		t.Fatalf("km --make-symlinks: %v\n%s", err, out)
	}
}

// goEnv returns settings of the go tool as they are.
func goEnv(t *testing.T, names ...string) (env []string) {
	t.Helper()
	for _, name := range names {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}
