package supervisor

import (
	"os/exec"
	"strings"
	"testing"
)

// The framework is for any team that has several servers: one without Kubernetes is not to link any of it.
func TestKnowsNoKubernetes(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d packages: this cannot be all", len(deps))
	}
	for _, path := range deps {
		for _, foreign := range []string{"k8s.io/", "sigs.k8s.io/", "go.etcd.io/"} {
			if strings.HasPrefix(path, foreign) {
				t.Errorf("it imports %s", path)
			}
		}
	}
}
