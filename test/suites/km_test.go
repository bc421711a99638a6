package suites

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binary is km.
var binary string

func findBinary() (err error) {
	binary = os.Getenv("KM")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "km")
	}
	if binary, err = filepath.Abs(binary); err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return fmt.Errorf("no binary to test: %w; run `make build`, or name one with KM", err)
	}
	return nil
}

// versions returns the lines of `km version` about km and about Kubernetes.
func versions() (km, kubernetes string, err error) {
	out, err := exec.Command(binary, "version").Output()
	if err != nil {
		return "", "", fmt.Errorf("km version: %w", err)
	}
	lines := strings.Split(string(out), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[1], "Kubernetes v") {
		return "", "", fmt.Errorf("km version does not tell Kubernetes' version: %q", out)
	}
	return lines[0], lines[1], nil
}

// companions are the servers that a kube-apiserver of the second kind of links has beside itself.
const companions = "controller-manager,scheduler,executor"

// A kind of links is a folder of them.
type kind struct {
	name string
	dir  string
	with string // the servers that are beside the kube-apiserver
}

var kinds = []*kind{{name: "plain"}, {name: "with", with: companions}}

func makeLinks() error {
	for _, k := range kinds {
		k.dir = filepath.Join(temp, "links", k.name)
		args := []string{"--make-symlinks", "--dir", k.dir}
		if k.with != "" {
			args = append(args, "--with="+k.with)
		}
		command := exec.Command(binary, args...)
		command.Env = environ()
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("km %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// environ is the environment without what may say where binaries and clusters are, or how km is to behave.
func environ() (kept []string) {
	for _, set := range os.Environ() {
		name, _, _ := strings.Cut(set, "=")
		foreign := name == "KM" || name == "KUBECONFIG" || name == "USE_EXISTING_CLUSTER"
		for _, prefix := range []string{"KM_", "KUBEBUILDER_", "TEST_ASSET_", "ENVTEST_", "CAPI_"} {
			foreign = foreign || strings.HasPrefix(name, prefix)
		}
		if !foreign {
			kept = append(kept, set)
		}
	}
	return kept
}
