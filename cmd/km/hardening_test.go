package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/executor/cri"
	"github.com/seed-200a7251/km/supervisor"
)

// How a control of the benchmark stands.
const (
	pass   = "pass"
	fail   = "fail"
	none   = "n/a"    // there is no such thing here
	manual = "manual" // for whoever runs the cluster to judge
)

// control is one control of the CIS Kubernetes benchmark, in km's words. look returns how it stands in a run, and what
// shows it.
type control struct {
	id, title string
	look      func(r *planned) (state, shown string)
	// why says why it fails, or what else is to be known.
	why string
}

// kc is the kubelet's configuration.
type kc = kubeletconfig.KubeletConfiguration

// planned is what a run would go by.
type planned struct {
	plan    *supervisor.Plan
	kubelet *kc
}

// planOf returns what `km run` with these arguments would go by, on this machine as a real node: simulated ones have no
// kubelet.
func planOf(t *testing.T, args ...string) *planned {
	t.Helper()
	km, r := newKM(), &planned{}
	km.SetOut(&bytes.Buffer{})
	executor, err := km.FindServer("executor")
	if err != nil {
		t.Fatal(err)
	}
	defaults := executor.Defaults
	executor.Defaults = func(p *supervisor.Plan, s *supervisor.Server) error {
		r.plan = p
		return defaults(p, s)
	}
	args = append([]string{"km", "run", "--print-config", "--executor.runtime=cri", "--executor.node-ip=192.0.2.1"}, args...)
	if err := km.Run(args); err != nil {
		t.Fatal(err)
	}
	if r.kubelet, err = cri.Configuration(context.Background(), r.plan, executor); err != nil {
		t.Fatal(err)
	}
	return r
}

// value is a flag's.
func (r *planned) value(server, flag string) string {
	return strings.Trim(r.plan.Server(server).Value(flag), "[]")
}

// shown is a value, with paths as they are in any data folder.
func (r *planned) shown(text string) string {
	if text == "" {
		return "none"
	}
	return strings.ReplaceAll(text, r.plan.DataDir, "DATA-DIR")
}

// ofFlag passes if the flag's value is as it is to be.
func ofFlag(server, flag string, ok func(value string) bool) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		value := r.value(server, flag)
		return verdict(ok(value)), "`--" + server + "." + flag + "` " + r.shown(value)
	}
}

// ofKubelet passes if a value of the kubelet's configuration is as it is to be.
func ofKubelet(name string, value func(*kc) any, ok func(value string) bool) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		text := fmt.Sprint(value(r.kubelet))
		return verdict(ok(text)), name + " " + r.shown(text)
	}
}

func verdict(ok bool) string {
	if ok {
		return pass
	}
	return fail
}

// fixed is what flags do not show: what is said of it is for the end-to-end tests to hold.
func fixed(state, shown string) func(*planned) (string, string) {
	return func(*planned) (string, string) { return state, shown }
}

// both passes if both do.
func both(a, b func(*planned) (string, string)) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		stateA, shownA := a(r)
		stateB, shownB := b(r)
		return verdict(stateA == pass && stateB == pass), shownA + ", " + shownB
	}
}

// unlessSocket is for what protects a port of etcd, where that has none.
func unlessSocket(server, flag string, ok func(string) bool) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		if url := r.value("etcd", "listen-client-urls"); strings.HasPrefix(url, "unix://") {
			return none, "`--etcd.listen-client-urls` " + r.shown(url)
		}
		return ofFlag(server, flag, ok)(r)
	}
}

// unlessAlone is for what protects etcd's members from others, where there are none.
func unlessAlone(flag string, ok func(string) bool) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		if s := r.plan.Server("etcd"); !s.Given("listen-peer-urls") && !s.Given("initial-cluster") {
			return none, "no port for peers"
		}
		return ofFlag("etcd", flag, ok)(r)
	}
}

func is(value string) bool     { return value != "" }
func isNot(value string) bool  { return value == "" }
func isOn(value string) bool   { return value == "true" }
func isOff(value string) bool  { return value == "false" }
func isSome(value string) bool { return value != "" && value != "0" }

func has(item string) func(string) bool {
	return func(value string) bool { return slices.Contains(strings.Split(value, ","), item) }
}

func lacks(item string) func(string) bool {
	return func(value string) bool { return !has(item)(value) }
}

func equals(want string) func(string) bool { return func(value string) bool { return value == want } }

// strong reports whether all suites are of the benchmark's list.
func strong(value string) bool {
	suites := strings.FieldsFunc(strings.Trim(value, "[]"), func(r rune) bool { return r == ',' || r == ' ' })
	return len(suites) > 0 && !slices.ContainsFunc(suites, func(suite string) bool { return !slices.Contains(component.CipherSuites(), suite) })
}

// ciphers passes if all suites are strong, and names them by what they are.
func ciphers(look func(*planned) (string, string)) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		state, shown := look(r)
		if name, _, found := strings.Cut(shown, "TLS_"); found && state == pass {
			shown = strings.TrimRight(name, "[") + "ECDHE with AES-GCM or ChaCha20 alone"
		}
		return state, shown
	}
}

// audited passes if requests are noted, and the flag is as it is to be.
func audited(flag string) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		if r.value("apiserver", "audit-log-path") == "" {
			return fail, "none"
		}
		return ofFlag("apiserver", flag, isSome)(r)
	}
}

// rotatesServing passes unless somebody turns the feature gate off.
func rotatesServing(server string) func(*planned) (string, string) {
	return func(r *planned) (string, string) {
		if r.plan.Server(server).Given("feature-gates") {
			return ofFlag(server, "feature-gates", lacks("RotateKubeletServerCertificate=false"))(r)
		}
		return pass, "upstream's default"
	}
}

const (
	files  = "0600, in folders of 0700 (TestHardened)"
	owner  = "whoever runs km: root:root where root does"
	noPods = "km starts the servers itself: there are no static pods"
)

// controls are those of the benchmark for the control plane and the node, as kube-bench has them in cis-1.12.
var controls = []control{
	{"1.1.1", "API server's pod file: mode", fixed(none, noPods), ""},
	{"1.1.2", "API server's pod file: owner", fixed(none, noPods), ""},
	{"1.1.3", "controller manager's pod file: mode", fixed(none, noPods), ""},
	{"1.1.4", "controller manager's pod file: owner", fixed(none, noPods), ""},
	{"1.1.5", "scheduler's pod file: mode", fixed(none, noPods), ""},
	{"1.1.6", "scheduler's pod file: owner", fixed(none, noPods), ""},
	{"1.1.7", "etcd's pod file: mode", fixed(none, noPods), ""},
	{"1.1.8", "etcd's pod file: owner", fixed(none, noPods), ""},
	{"1.1.9", "CNI files: mode", fixed(manual, "/etc/cni/net.d is the machine's own"), ""},
	{"1.1.10", "CNI files: owner", fixed(manual, "/etc/cni/net.d is the machine's own"), ""},
	{"1.1.11", "etcd's data: mode", fixed(pass, "DATA-DIR/etcd 0700 (TestHardened)"), ""},
	{"1.1.12", "etcd's data: owner etcd:etcd", fixed(fail, owner), "etcd is part of the process: a user of its own would keep nobody out."},
	{"1.1.13", "admin's kubeconfig: mode", fixed(pass, files), ""},
	{"1.1.14", "admin's kubeconfig: owner", fixed(manual, owner), ""},
	{"1.1.15", "scheduler.conf: mode", fixed(pass, files), ""},
	{"1.1.16", "scheduler.conf: owner", fixed(manual, owner), ""},
	{"1.1.17", "controller-manager.conf: mode", fixed(pass, files), ""},
	{"1.1.18", "controller-manager.conf: owner", fixed(manual, owner), ""},
	{"1.1.19", "pki/: owner", fixed(manual, owner), ""},
	{"1.1.20", "pki/: mode of certificates", fixed(pass, files), ""},
	{"1.1.21", "pki/: mode of keys", fixed(pass, files), ""},

	{"1.2.1", "no anonymous requests", ofFlag("apiserver", "anonymous-auth", isOff),
		"Only /livez, /readyz and /healthz are answered without credentials, for probes (authentication.json; TestHardened). `--apiserver.anonymous-auth=false` refuses these, too."},
	{"1.2.2", "no file of tokens", ofFlag("apiserver", "token-auth-file", isNot), ""},
	{"1.2.3", "admission: DenyServiceExternalIPs", ofFlag("apiserver", "enable-admission-plugins", has("DenyServiceExternalIPs")),
		"Services with external IPs may be what is developed. `--apiserver.enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs` refuses them."},
	{"1.2.4", "client certificate for kubelets",
		both(ofFlag("apiserver", "kubelet-client-certificate", is), ofFlag("apiserver", "kubelet-client-key", is)), ""},
	{"1.2.5", "kubelets' certificates are verified", ofFlag("apiserver", "kubelet-certificate-authority", is), ""},
	{"1.2.6", "authorization: not AlwaysAllow", ofFlag("apiserver", "authorization-mode", lacks("AlwaysAllow")), ""},
	{"1.2.7", "authorization: Node", ofFlag("apiserver", "authorization-mode", has("Node")), ""},
	{"1.2.8", "authorization: RBAC", ofFlag("apiserver", "authorization-mode", has("RBAC")), ""},
	{"1.2.9", "admission: EventRateLimit",
		ofFlag("apiserver", "enable-admission-plugins", has("EventRateLimit")), "Its limits depend on what the cluster is for."},
	{"1.2.10", "admission: not AlwaysAdmit", ofFlag("apiserver", "enable-admission-plugins", lacks("AlwaysAdmit")), ""},
	{"1.2.11", "admission: AlwaysPullImages", ofFlag("apiserver", "enable-admission-plugins", has("AlwaysPullImages")),
		"Images that were built on the machine, and are in no registry, could not be used."},
	{"1.2.12", "admission: ServiceAccount", ofFlag("apiserver", "disable-admission-plugins", lacks("ServiceAccount")), ""},
	{"1.2.13", "admission: NamespaceLifecycle", ofFlag("apiserver", "disable-admission-plugins", lacks("NamespaceLifecycle")), ""},
	{"1.2.14", "admission: NodeRestriction", ofFlag("apiserver", "enable-admission-plugins", has("NodeRestriction")), ""},
	{"1.2.15", "API server: no profiling", ofFlag("apiserver", "profiling", isOff), ""},
	{"1.2.16", "audit log", ofFlag("apiserver", "audit-log-path", is), ""},
	{"1.2.17", "audit log: days kept", audited("audit-log-maxage"), ""},
	{"1.2.18", "audit log: files kept", audited("audit-log-maxbackup"), ""},
	{"1.2.19", "audit log: MB of a file", audited("audit-log-maxsize"), ""},
	{"1.2.20", "time limit of requests", ofFlag("apiserver", "request-timeout", isSome), ""},
	{"1.2.21", "tokens of deleted accounts are refused", ofFlag("apiserver", "service-account-lookup", isOn), ""},
	{"1.2.22", "key for tokens of service accounts", ofFlag("apiserver", "service-account-key-file", is), ""},
	{"1.2.23", "client certificate for etcd", unlessSocket("apiserver", "etcd-certfile", is), ""},
	{"1.2.24", "API server: certificate and key",
		both(ofFlag("apiserver", "tls-cert-file", is), ofFlag("apiserver", "tls-private-key-file", is)), ""},
	{"1.2.25", "API server: authority of clients", ofFlag("apiserver", "client-ca-file", is), ""},
	{"1.2.26", "etcd's certificate is verified", unlessSocket("apiserver", "etcd-cafile", is), ""},
	{"1.2.27", "encryption at rest", ofFlag("apiserver", "encryption-provider-config", is), ""},
	{"1.2.28", "encryption at rest: aescbc, kms or secretbox", func(r *planned) (string, string) {
		if r.value("apiserver", "encryption-provider-config") == "" {
			return fail, "none"
		}
		return pass, "secretbox, for Secrets (TestHardened)"
	}, ""},
	{"1.2.29", "API server: strong ciphers", ciphers(ofFlag("apiserver", "tls-cipher-suites", strong)), ""},
	{"1.2.30", "tokens of service accounts are not extended", ofFlag("apiserver", "service-account-extend-token-expiration", isOff), ""},

	{"1.3.1", "when ended pods are deleted", fixed(manual, "`--controller-manager.terminated-pod-gc-threshold`"), ""},
	{"1.3.2", "controller manager: no profiling", ofFlag("controller-manager", "profiling", isOff), ""},
	{"1.3.3", "an account for each controller", ofFlag("controller-manager", "use-service-account-credentials", isOn), ""},
	{"1.3.4", "key that signs tokens", ofFlag("controller-manager", "service-account-private-key-file", is), ""},
	{"1.3.5", "authority that pods are given", ofFlag("controller-manager", "root-ca-file", is), ""},
	{"1.3.6", "RotateKubeletServerCertificate is on", rotatesServing("controller-manager"), ""},
	{"1.3.7", "controller manager: on loopback", ofFlag("controller-manager", "bind-address", equals("127.0.0.1")), ""},
	{"1.4.1", "scheduler: no profiling", ofFlag("scheduler", "profiling", isOff), ""},
	{"1.4.2", "scheduler: on loopback", ofFlag("scheduler", "bind-address", equals("127.0.0.1")), ""},

	{"2.1", "etcd: certificate and key", unlessSocket("etcd", "cert-file", is), ""},
	{"2.2", "etcd: clients' certificates", unlessSocket("etcd", "client-cert-auth", isOn), ""},
	{"2.3", "etcd: no self-signed certificate", ofFlag("etcd", "auto-tls", isOff), ""},
	{"2.4", "etcd: peers' certificate and key", unlessAlone("peer-cert-file", is), ""},
	{"2.5", "etcd: peers' certificates are verified", unlessAlone("peer-client-cert-auth", isOn), ""},
	{"2.6", "etcd: no self-signed certificate of peers", ofFlag("etcd", "peer-auto-tls", isOff), ""},
	{"2.7", "etcd: an authority of its own", unlessSocket("etcd", "trusted-ca-file", is), ""},

	{"3.1.1", "no client certificates for users",
		fixed(manual, "the admin has one; `--apiserver.authentication-config` brings in others' tokens"), ""},
	{"3.1.2", "no tokens of service accounts for users", fixed(manual, "km gives none"), ""},
	{"3.1.3", "no bootstrap tokens for users", fixed(manual, "km gives none to users"), ""},
	{"3.2.1", "audit policy", ofFlag("apiserver", "audit-policy-file", is), ""},
	{"3.2.2", "audit policy: what matters", func(r *planned) (string, string) {
		if r.value("apiserver", "audit-policy-file") == "" {
			return fail, "none"
		}
		return manual, "who asked for what, never what is in an object; no health, leases, events (TestHardened)"
	}, ""},

	{"4.1.1", "kubelet's service file: mode", fixed(none, "km starts the servers itself"), ""},
	{"4.1.2", "kubelet's service file: owner", fixed(none, "km starts the servers itself"), ""},
	{"4.1.3", "proxy's kubeconfig: mode", fixed(pass, files), ""},
	{"4.1.4", "proxy's kubeconfig: owner", fixed(manual, owner), ""},
	{"4.1.5", "kubelet's kubeconfig: mode", fixed(pass, files), ""},
	{"4.1.6", "kubelet's kubeconfig: owner", fixed(manual, owner), ""},
	{"4.1.7", "authorities of clients: mode", fixed(pass, files), ""},
	{"4.1.8", "authorities of clients: owner", fixed(manual, owner), ""},
	{"4.1.9", "kubelet's configuration file: mode", fixed(none, "there is none, but for one that `--executor.config` names"), ""},
	{"4.1.10", "kubelet's configuration file: owner", fixed(none, "there is none, but for one that `--executor.config` names"), ""},

	{"4.2.1", "kubelet: no anonymous requests",
		ofKubelet("authentication.anonymous.enabled", func(c *kc) any { return c.Authentication.Anonymous.Enabled }, isOff), ""},
	{"4.2.2", "kubelet: authorization not AlwaysAllow",
		ofKubelet("authorization.mode", func(c *kc) any { return c.Authorization.Mode }, lacks("AlwaysAllow")), ""},
	{"4.2.3", "kubelet: authority of clients",
		ofKubelet("authentication.x509.clientCAFile", func(c *kc) any { return c.Authentication.X509.ClientCAFile }, is), ""},
	{"4.2.4", "kubelet: no read-only port", ofKubelet("readOnlyPort", func(c *kc) any { return c.ReadOnlyPort }, equals("0")), ""},
	{"4.2.5", "kubelet: streams end when idle",
		ofKubelet("streamingConnectionIdleTimeout", func(c *kc) any { return c.StreamingConnectionIdleTimeout.Duration }, lacks("0s")), ""},
	{"4.2.6", "kubelet: its rules of iptables",
		ofKubelet("makeIPTablesUtilChains", func(c *kc) any { return c.MakeIPTablesUtilChains }, isOn),
		"The proxy uses nftables, and nothing asks for them; a machine may have no iptables."},
	{"4.2.7", "kubelet: no other host name", ofFlag("executor", "hostname-override", isNot), ""},
	{"4.2.8", "kubelet: events are not dropped", ofKubelet("eventRecordQPS", func(c *kc) any { return c.EventRecordQPS }, is), ""},
	{"4.2.9", "kubelet: certificate and key", ofKubelet("tlsCertFile", func(c *kc) any { return c.TLSCertFile }, is), ""},
	{"4.2.10", "kubelet: its certificate is renewed",
		ofKubelet("rotateCertificates", func(c *kc) any { return c.RotateCertificates }, isOn),
		"km makes the certificate anew before it expires, at a start and while it runs, and needs no requests for that."},
	{"4.2.11", "kubelet: RotateKubeletServerCertificate is on", rotatesServing("executor"), ""},
	{"4.2.12", "kubelet: strong ciphers",
		ciphers(ofKubelet("tlsCipherSuites", func(c *kc) any { return c.TLSCipherSuites }, strong)), ""},
	{"4.2.13", "kubelet: limit of processes in a pod",
		ofKubelet("podPidsLimit", func(c *kc) any { return c.PodPidsLimit }, func(value string) bool { return value != "-1" }),
		"How many a pod needs depends on what runs. `--executor.pod-max-pids=4096` sets a limit."},
	{"4.2.14", "kubelet: seccomp by default", ofKubelet("seccompDefault", func(c *kc) any { return c.SeccompDefault }, isOn),
		"What runs may need more system calls. `--executor.seccomp-default` turns it on."},
	{"4.3.1", "proxy: metrics on loopback",
		ofFlag("proxy", "metrics-bind-address", func(value string) bool { return strings.HasPrefix(value, "127.0.0.1") }), ""},
}

const hardeningHead = "# Hardening\n\n" +
	"`km run --hardened` is for a cluster that others may reach; [security](servers/cluster/security.md) says what it does.\n" +
	"This is how km stands in the controls of the CIS Kubernetes benchmark for the control plane and the node, numbered as\n" +
	"kube-bench has them in `cis-1.12` and in words of our own: plain is `km run --executor.runtime=cri`, hardened is that\n" +
	"with `--hardened`.\n\n" +
	"- pass, fail: as a flag, the kubelet's configuration, or a test shows that is named\n" +
	"- n/a: there is no such thing here\n" +
	"- manual: for whoever runs the cluster to judge\n\n" +
	"This page is made from the effective flags by a test, `go test ./cmd/km -run TestHardening -update`. What you give\n" +
	"yourself comes before each of these defaults.\n\n"

// columns is where the lines of prose end.
const columns = 120

// wrapped is an item of a list, with lines of so many columns.
func wrapped(item string) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(item) {
		switch n := utf8.RuneCountInString(word); {
		case i == 0:
			used = n
		case used+1+n > columns:
			b.WriteString("\n  ")
			used = 2 + n
		default:
			b.WriteString(" ")
			used += 1 + n
		}
		b.WriteString(word)
	}
	return b.String() + "\n"
}

// hardening is the page.
func hardening(plain, hardened *planned) string {
	var table, failures strings.Builder
	count := map[string]map[string]int{"plain": {}, "hardened": {}}
	for _, c := range controls {
		before, shownBefore := c.look(plain)
		after, shown := c.look(hardened)
		if shownBefore != shown {
			name, value, _ := strings.Cut(shown, " ")
			if _, was, ok := strings.Cut(shownBefore, " "); ok && strings.HasPrefix(shownBefore, name+" ") {
				shown = name + " " + was + " → " + value
			} else {
				shown = shownBefore + " → " + shown
			}
		}
		count["plain"][before]++
		count["hardened"][after]++
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", c.id, c.title, before, after, shown)
		if after == fail {
			failures.WriteString(wrapped(fmt.Sprintf("- **%s**, %s: %s", c.id, c.title, c.why)))
		}
	}
	var b strings.Builder
	b.WriteString(hardeningHead)
	b.WriteString("| of the controls | pass | fail | n/a | manual |\n|---|---|---|---|---|\n")
	for _, run := range []string{"plain", "hardened"} {
		n := count[run]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", run, n[pass], n[fail], n[none], n[manual])
	}
	b.WriteString("\n## What fails when hardened, and why\n\n" + failures.String() + "\n## All\n\n" +
		"| | control | plain | hardened | shown by |\n|---|---|---|---|---|\n" + table.String())
	return b.String()
}

// How km stands in the benchmark is what its flags say: a change of a default is to be seen there.
func TestHardening(t *testing.T) {
	notOnLinux(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	hardened := planOf(t, "--hardened")
	page := hardening(planOf(t), hardened)
	for _, c := range controls {
		if state, _ := c.look(hardened); state == fail && c.why == "" {
			t.Errorf("%s fails when hardened, and nothing says why", c.id)
		}
	}
	file := filepath.Join("..", "..", "HARDENING.md")
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), page); diff != "" {
		t.Errorf("%s is not what km does; if that is as it should be, `go test ./cmd/km -run TestHardening -update` (-file +km):\n%s", file, diff)
	}
}

// Each default of a hardened run is one: what the user gives comes first.
func TestHardenedYields(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	plain, hardened := planOf(t), planOf(t, "--hardened")
	for _, server := range []string{"apiserver", "controller-manager", "scheduler"} {
		for _, f := range all(hardened.plan.Server(server).Flags()) {
			before, after := plain.value(server, f.Name), hardened.value(server, f.Name)
			if before == after || f.Name == component.HardenedFlag {
				continue
			}
			given := "--" + server + "." + f.Name + "=" + before
			if got := planOf(t, "--hardened", given).value(server, f.Name); got != before {
				t.Errorf("with %s it is %q", given, got)
			}
		}
	}
	own := planOf(t, "--hardened", "--apiserver.encryption-provider-config=/own.yaml")
	keys, reload := own.value("apiserver", "encryption-provider-config"), own.value("apiserver", "encryption-provider-config-automatic-reload")
	if keys != "/own.yaml" || reload != "false" {
		t.Errorf("with a file of the user's, it is %s, and %s", keys, reload)
	}
}
