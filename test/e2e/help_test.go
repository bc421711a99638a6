package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The help texts are what users read first: a change of them is to be seen.
func TestHelp(t *testing.T) {
	for name, args := range map[string]string{
		"km":         "--help",
		"run":        "run --help",
		"help-run":   "help run",
		"kubeconfig": "kubeconfig --help",
		"version":    "version --help",
		"logs":       "logs --help",
		"etcd":       "help etcd",
		"executor":   "help executor",
		"minion":     "help minion",
		"dns":        "help dns",
		"storage":    "help storage",
		"scheduler":  "help scheduler",
	} {
		t.Run(name, func(t *testing.T) {
			r := newHome(t).km(t, strings.Fields(args)...)
			if r.code != 0 || r.stderr != "" {
				t.Errorf("exit code %d, standard error %q", r.code, r.stderr)
			}
			golden := filepath.Join("testdata", "help", name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(r.stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), r.stdout); diff != "" {
				t.Errorf("help has changed; if it should have, `go test ./test/e2e -run TestHelp -update` (-want +got):\n%s", diff)
			}
			if n := len(strings.Split(r.stdout, "\n")); name == "run" && n > 50 {
				t.Errorf("`km run --help` has %d lines: more than a screen", n)
			}
		})
	}
}

// km kubeconfig tells where it is, and merges it on demand without losing what the user has.
func TestKubeconfig(t *testing.T) {
	h := newHome(t)
	if r := h.km(t, "kubeconfig"); r.code != 1 || !strings.Contains(r.stderr, "km run") {
		t.Errorf("without a cluster: exit code %d, %s", r.code, r.stderr)
	}
	p := h.run(t)
	if got, want := h.must(t, "kubeconfig"), filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")+"\n"; got != want {
		t.Errorf("km kubeconfig: %q, want %q", got, want)
	}
	own := filepath.Join(string(h), ".kube", "config")
	if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	theirs := "apiVersion: v1\nkind: Config\nclusters: [{name: work, cluster: {server: https://example.invalid}}]\n" +
		"users: [{name: me, user: {}}]\ncontexts: [{name: work, context: {cluster: work, user: me}}]\ncurrent-context: work\n"
	if err := os.WriteFile(own, []byte(theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	h.must(t, "kubeconfig", "--merge")
	contexts := h.must(t, "kubectl", "--kubeconfig="+own, "config", "get-contexts", "-o", "name")
	if contexts != "km\nwork\n" {
		t.Errorf("contexts after the merge: %q", contexts)
	}
	if out := h.must(t, "kubectl", "--kubeconfig="+own, "get", "namespace", "default", "-o", "name"); out != "namespace/default\n" {
		t.Errorf("with the merged kubeconfig: %q", out)
	}
	p.stop(syscall.SIGTERM)
}
