// Package envtest tests that controller-runtime's envtest works with km's symlinks as it does with upstream's binaries.
// KM names km's binary; without it, it is bin/km of this checkout, which `make build` makes.
//
// It is a module of its own, so that km's does not have controller-runtime among its requirements.
package envtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// upstream is envtest's own limit for starts and stops: longer, since a hang here has stacks, and one there has none.
const upstream = 2 * patience

var (
	binary string
	links  string // the folder of symlinks
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if err := ownNetwork(); err != nil {
		return 0, err
	}
	binary = os.Getenv("KM")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "km")
	}
	if binary, err = filepath.Abs(binary); err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return 0, fmt.Errorf("no binary to test: %w; run `make build`, or name one with KM", err)
	}
	dir, err := os.MkdirTemp("", "km-envtest-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if removed := os.RemoveAll(dir); err == nil {
			err = removed
		}
	}()
	// What else may say where binaries and clusters are.
	for _, set := range os.Environ() {
		name, _, _ := strings.Cut(set, "=")
		if strings.HasPrefix(name, "KUBEBUILDER_") || strings.HasPrefix(name, "TEST_ASSET_") || name == "USE_EXISTING_CLUSTER" || name == "KUBECONFIG" {
			if err := os.Unsetenv(name); err != nil {
				return 0, err
			}
		}
	}
	// envtest leaves folders behind where a start fails, and kubectl would keep what it finds in the home folder.
	for name, value := range map[string]string{"TMPDIR": dir, "KUBECACHEDIR": filepath.Join(dir, "kubectl")} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	links = filepath.Join(dir, "links")
	if out, err := exec.Command(binary, "--make-symlinks", "--dir", links).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("km --make-symlinks: %w\n%s", err, out)
	}
	ctrl.SetLogger(logr.Discard())
	return m.Run(), nil
}

// environment is one that has not been started. It is stopped with the test.
func environment(t *testing.T) *envtest.Environment {
	env := &envtest.Environment{
		BinaryAssetsDirectory:    links,
		ControlPlaneStartTimeout: upstream,
		ControlPlaneStopTimeout:  upstream,
	}
	observe(t, &env.ControlPlane)
	t.Cleanup(func() { stop(t, env.Stop) })
	return env
}

// stop stops an environment, or a part of one.
func stop(t *testing.T, f func() error) {
	t.Helper()
	if err := within(t, "stop", f); err != nil {
		t.Error("stop:", err)
	}
}

// start starts the environment.
func start(t *testing.T, env *envtest.Environment) {
	t.Helper()
	err := within(t, "start", func() error {
		_, err := env.Start()
		return err
	})
	if err != nil {
		t.Fatal("start:", err)
	}
}

// poll calls f until it says that it is done.
func poll(t *testing.T, what string, f func(ctx context.Context) (bool, error)) {
	t.Helper()
	switch err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, f); {
	case wait.Interrupted(err):
		hang(t, what)
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
}
