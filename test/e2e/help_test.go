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
	t.Parallel()
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
		"manifests":  "help manifests",
		"scheduler":  "help scheduler",
		"help":       "help help",
		"port":       "help flag secure-port",
		"etcd-flags": "help flag etcd.*servers",
		"one-flag":   "help --executor.nodes",
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
		})
	}
}

// Who wants to know how to run km sees it at once.
func TestHelpOfRunIsAScreen(t *testing.T) {
	t.Parallel()
	out := newHome(t).must(t, "run", "--help")
	if n := strings.Count(out, "\n"); n > 54 {
		t.Errorf("it has %d lines", n)
	}
	for line := range strings.Lines(out) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

// The help says what km gives the flags, but nothing of the machine and its user.
func TestHelpIsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	one, two := newHome(t), newHome(t)
	for server, wants := range map[string][]string{
		"etcd":               {"(km run: DATA-DIR/etcd)"},
		"apiserver":          {"(default 0.0.0.0) (km run: 127.0.0.1)", "(km run: Node,RBAC)", "(km run: unix://DATA-DIR/etcd.sock)"},
		"controller-manager": {"(default 20) (km run: 500)", "(km run: DATA-DIR/pki/ca.key)"},
		"scheduler":          {"(default true) (km run: false)"},
		"executor":           {"(km run: DATA-DIR/kubeconfig/executor.conf)"},
		"proxy":              {"(km run: simulated)"},
		"dns":                {"(km run: DATA-DIR/kubeconfig/dns.conf)"},
		"manifests":          {"(km run: DATA-DIR/kubeconfig/admin.conf)"},
		"storage":            {`(default "volumes") (km run: DATA-DIR/volumes)`},
	} {
		t.Run(server, func(t *testing.T) {
			out := one.must(t, "help", server)
			for _, want := range wants {
				if words := strings.Join(strings.Fields(out), " "); !strings.Contains(words, want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
			if diff := cmp.Diff(out, two.must(t, "help", server)); diff != "" || strings.Contains(out, one.dir) {
				t.Errorf("it depends on the home folder:\n%s", diff)
			}
		})
	}
}

// What is not found is said in a way that helps, and by the exit code.
func TestHelpFindsNothing(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"help flag secure-prot":           {1, "--apiserver.secure-port"},
		"help flag":                       {2, "km help flag port"},
		"help flag [":                     {2, "missing closing ]"},
		"help --apiserver.secure-prot":    {2, "did you mean --apiserver.secure-port"},
		"help kube-apiserver.secure-port": {2, "did you mean --apiserver.secure-port"},
		"help secure-port":                {2, "km help flag secure-port"},
	} {
		r := newHome(t).km(t, strings.Fields(args)...)
		if r.code != want.code || r.stdout != "" || !strings.Contains(r.stderr, want.text) {
			t.Errorf("km %s: exit code %d, %q; want %d, %q", args, r.code, r.stderr, want.code, want.text)
		}
	}
}

// km kubeconfig tells where it is, and merges it on demand without losing what the user has.
func TestKubeconfig(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if r := h.km(t, "kubeconfig"); r.code != 1 || !strings.Contains(r.stderr, "km run") {
		t.Errorf("without a cluster: exit code %d, %s", r.code, r.stderr)
	}
	p := h.run(t)
	if got, want := h.must(t, "kubeconfig"), filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")+"\n"; got != want {
		t.Errorf("km kubeconfig: %q, want %q", got, want)
	}
	own := filepath.Join(h.dir, ".kube", "config")
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

	// Merged again, what was added stays; and reset takes all of it out.
	h.must(t, "kubectl", "--kubeconfig="+own, "config", "set-context", "km", "--namespace=mine")
	h.must(t, "kubeconfig", "--merge")
	if out := h.must(t, "kubectl", "--kubeconfig="+own, "config", "view", "--minify", "-o", "jsonpath={.contexts[0].context.namespace}"); out != "mine" {
		t.Errorf("the namespace of the context is %q now", out)
	}
	if out := h.must(t, "reset", "--yes"); !strings.Contains(out, "context km, cluster km, user km: removed from "+own) {
		t.Errorf("reset does not tell what is gone: %s", out)
	}
	if r := h.km(t, "kubectl", "--kubeconfig="+own, "config", "current-context"); r.code != 1 || !strings.Contains(r.stderr, "current-context is not set") {
		t.Errorf("after a reset the current context is %s%s", r.stdout, r.stderr)
	}

	// Within a run KUBECONFIG names the cluster's own file, and it is the user's that is merged into; of an ephemeral
	// cluster nothing is left there.
	merge := binary + " kubeconfig --merge && " + binary + " kubectl --kubeconfig=" + own + " get namespace default -o name"
	out := h.must(t, "run", "apiserver", "--ephemeral", "--free-ports", "--quiet", "--", "sh", "-c", merge)
	if want := "merged into " + own + "; the current context is now \"km\"\nnamespace/default\n"; out != want {
		t.Errorf("within a run: %q, want %q", out, want)
	}
	if contexts := h.must(t, "kubectl", "--kubeconfig="+own, "config", "get-contexts", "-o", "name"); contexts != "work\n" {
		t.Errorf("contexts at the end: %q", contexts)
	}
}
