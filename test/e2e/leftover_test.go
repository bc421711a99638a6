package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// advised matches a command that people are told to type.
var advised = regexp.MustCompile("`(km[^`]* delete [^`]*)`")

// Webhooks that nothing serves any more, and a policy that denies all, keep no cluster from starting: the API server is
// ready in any case, the others wait and say what is in their way, and with the commands that they name, typed as they
// are, all become ready. What km needs and has not got any more is made then.
func TestLeftOvers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	shell := func(script string) result { return h.do(t, "sh", "-c", script) }
	p := h.run(t, "apiserver,controller-manager,executor", "--name=two")
	left, err := filepath.Abs(filepath.Join("testdata", "leftover.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		// As in a cluster of an older km, and with what users have added.
		`km --name=two kubectl patch clusterrole km:executor --type=json -p '[{"op":"remove","path":"/rules/6"},` +
			`{"op":"add","path":"/rules/-","value":{"apiGroups":["mine"],"resources":["things"],"verbs":["get"]}}]'`,
		"km --name=two kubectl delete clusterrolebinding km:dns",
		"km --name=two kubectl apply -f " + left,
	} {
		if r := shell(script); r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", script, r.code, r.stdout, r.stderr)
		}
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d, want 0", code)
	}

	p = h.start(t, binary, "run", "apiserver,controller-manager,executor", "--name=two", "--free-ports")
	// All have met what is in their way before something is done about it.
	for _, server := range []string{"controller-manager", "executor"} {
		p.await(p.stderr, server+" cannot start yet: ")
	}
	var typed []string
	seen, rounds := "", 0
	eventually(t, "all servers are ready", func() bool {
		// A look takes processes: there is one when something has been said, and now and then.
		if said := p.stdout.String() + p.stderr.String(); said == seen && rounds%20 != 0 {
			rounds++
			return false
		} else {
			seen, rounds = said, 1
		}
		status := h.km(t, "--name=two", "status").stdout
		if m := advised.FindStringSubmatch(status); m != nil {
			if shell(m[1]).code == 0 && !slices.Contains(typed, m[1]) { // or it was done already
				typed = append(typed, m[1])
			}
			return false
		}
		return strings.Contains(p.stdout.String(), "km: ready after")
	})
	for _, name := range []string{"left-validating", "left-mutating", "left-binding"} {
		if !slices.ContainsFunc(typed, func(c string) bool { return strings.HasSuffix(c, " "+name) }) {
			t.Errorf("%s is not named: %q", name, typed)
		}
	}
	if text := p.stdout.String(); strings.Contains(text, "backoff") {
		t.Errorf("servers fail instead of waiting:\n%s", text)
	}
	eventually(t, "roles are what they should be", func() bool {
		role := h.km(t, "--name=two", "kubectl", "get", "clusterrole", "km:executor", "-o", "json").stdout
		binding := h.km(t, "--name=two", "kubectl", "get", "clusterrolebinding", "km:dns")
		return strings.Contains(role, "kwok.x-k8s.io") && strings.Contains(role, `"things"`) && binding.code == 0
	})
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A start on what is there writes nothing of what is there, and logs nothing of which it is the cause itself.
func TestWarmStart(t *testing.T) {
	t.Parallel()
	h, dir := newHome(t), t.TempDir()
	policy := writeFile(t, filepath.Join(dir, "policy.yaml"),
		"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n")
	for _, audit := range []string{"cold.log", "warm.log"} {
		r := h.km(t, "run", "--free-ports", "--quiet", "--apiserver.audit-policy-file="+policy, "--apiserver.audit-log-path="+filepath.Join(dir, audit), "--", "true")
		if r.code != 0 || r.stdout+r.stderr != "" {
			t.Errorf("exit code %d, and this is shown:\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
	written := regexp.MustCompile(` (create|update|patch|delete) (clusterroles|clusterrolebindings|roles|rolebindings|customresourcedefinitions|` +
		`stages|priorityclasses|namespaces|serviceaccounts|nodes) in `)
	cold, warm := auditLog{file: filepath.Join(dir, "cold.log")}, auditLog{file: filepath.Join(dir, "warm.log")}
	if n := len(slices.DeleteFunc(slices.Collect(maps.Keys(cold.read(t))),
		func(kind string) bool { return !written.MatchString(kind) })); n < 10 {
		t.Errorf("of the first start %d kinds of writes are known: what is looked for is not what is logged", n)
	}
	for kind := range warm.read(t) {
		// Tokens are of the moment; the port of a node is another one in each run.
		if written.MatchString(kind) && !strings.Contains(kind, "create serviceaccounts") && !strings.Contains(kind, "nodes") {
			t.Errorf("it writes: %s", kind)
		}
	}
	logs, err := filepath.Glob(filepath.Join(h.dataDir("km"), "logs", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, file := range logs {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, own := range []string{"manifest file is empty", "exit successfully previously", "Unable to remove endpoints"} {
			if strings.Contains(string(text), own) {
				t.Errorf("%s: %q", file, own)
			}
		}
	}
}
