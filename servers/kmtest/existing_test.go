package kmtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// Packages have one cluster together where it is there already, and do not stop it.
func TestExisting(t *testing.T) {
	if os.Getenv("KMTEST_PACKAGE") != "" {
		s := kmtest.Shared{Config: kmtest.Config{New: km.New, Servers: strings.Fields(os.Getenv("KMTEST_PACKAGE")), Apply: []string{"testdata/crds"}}}
		c := s.Cluster(t)
		use(t, c)
		if _, err := c.AddUser("jane"); err != nil {
			t.Error(err)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		return
	}
	there := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}})
	test := func(servers string) (string, error) {
		p := exec.Command(os.Args[0], "-test.run=^TestExisting$")
		p.Env = append(os.Environ(), "KMTEST_PACKAGE="+servers, "USE_EXISTING_CLUSTER=true",
			"KUBECONFIG="+there.Kubeconfig, "KM_DATA_DIR="+there.DataDir) // as `km run -- go test` has it
		out, err := p.CombinedOutput()
		return string(out), err
	}
	for range 2 {
		if out, err := test("apiserver"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	use(t, there)
	if out, err := test("apiserver controller-manager"); err == nil || !strings.Contains(out, "runs without controller-manager") {
		t.Errorf("%v\n%s", err, out)
	}
}
