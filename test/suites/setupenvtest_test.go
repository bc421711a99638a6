package suites

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// setupEnvtest is what finds binaries for suites, and for Makefiles of kubebuilder's.
const setupEnvtest = "sigs.k8s.io/controller-runtime/tools/setup-envtest@v0.25.1"

// Links in a folder with its name for a version are binaries to setup-envtest, which asks nobody for others then. When
// it removes them, km stays.
func TestSetupEnvtest(t *testing.T) {
	dir := t.TempDir()
	install := exec.CommandContext(interrupted, "go", "install", setupEnvtest)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off", "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	store := filepath.Join(dir, "bin")
	makeLinksIn(t, filepath.Join(store, "k8s"))
	setup := func(args ...string) string {
		command := exec.CommandContext(interrupted, filepath.Join(dir, "setup-envtest"), args...)
		command.Env = append(environ(), "HTTPS_PROXY=http://127.0.0.1:1") // nobody is there
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("setup-envtest %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	_, kubernetes, err := versions()
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.TrimPrefix(kubernetes, "Kubernetes v")
	folder := filepath.Join(store, "k8s", whole+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	for _, version := range []string{whole, whole[:strings.LastIndex(whole, ".")]} {
		if got := setup("use", version, "--bin-dir", store, "-p", "path"); got != folder {
			t.Errorf("for %s it is %q, want %q", version, got, folder)
		}
	}
	setup("cleanup", "--bin-dir", store, whole)
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("they are still there: %v", err)
	}
	if info, err := os.Stat(binary); err != nil || info.Size() == 0 {
		t.Errorf("km is gone: %v", err)
	}
}
