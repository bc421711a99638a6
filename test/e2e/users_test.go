package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	certutil "k8s.io/client-go/util/cert"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What users bring along takes the place of km's defaults, and the rest fits to it.
func TestUsersFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, []string{"users.example"})
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := writeFile(t, filepath.Join(dir, "tls.crt"), string(cert)), writeFile(t, filepath.Join(dir, "tls.key"), string(key))
	config := writeFile(t, filepath.Join(dir, "scheduler.yaml"),
		"apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n- schedulerName: default-scheduler\n- schedulerName: users-scheduler\n")
	authorization := writeFile(t, filepath.Join(dir, "authorization.yaml"),
		"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: [{type: Node, name: node}, {type: RBAC, name: rbac}]\n")

	h := newHome(t)
	p := h.run(t,
		"--apiserver.tls-cert-file="+certFile, "--apiserver.tls-private-key-file="+keyFile,
		"--apiserver.authorization-config="+authorization,
		"--scheduler.config="+config, "--scheduler.leader-elect=true", "--scheduler.v=3",
		"--controller-manager.controllers=*,-serviceaccount",
		"--controller-manager.cluster-signing-legacy-unknown-cert-file="+filepath.Join(h.dataDir("km"), "pki", "ca.crt"),
		"--controller-manager.cluster-signing-legacy-unknown-key-file="+filepath.Join(h.dataDir("km"), "pki", "ca.key"))
	h.must(t, "kubectl", "get", "namespace", "default")
	h.must(t, "kubectl", "create", "serviceaccount", "default")
	writeFile(t, filepath.Join(dir, "pod.yaml"), "{apiVersion: v1, kind: Pod, metadata: {name: theirs}, spec: {schedulerName: users-scheduler, containers: [{name: c, image: example.invalid/c}]}}\n")
	h.must(t, "kubectl", "create", "-f", filepath.Join(dir, "pod.yaml"))
	h.must(t, "kubectl", "wait", "pod/theirs", "--for=condition=PodScheduled", patient)
	if stderr := p.stderr.String(); !strings.Contains(stderr, " I scheduler") || strings.Contains(stderr, " I apiserver") {
		t.Error("--scheduler.v does not show the scheduler's lines, or shows others'")
	}
	// With leader election upstream ends the process at a stop; here the others stop in order.
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if stopped := states(p.stdout.String(), "stopped"); len(stopped) != 6 || stopped[5] != "etcd" {
		t.Errorf("stopped: %v", stopped)
	}

	// The same folder under another name, and with km's own certificate again.
	p = h.run(t, "--data-dir="+h.dataDir("km"), "--name=renamed")
	h.must(t, "kubectl", "get", "pod", "theirs")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	for _, test := range []struct {
		flag string
		want []string
	}{
		{"--apiserver.tls-cert-file=" + certFile, []string{"--apiserver.tls-private-key-file", "belong together"}},
		{"--apiserver.client-ca-file=" + certFile, []string{"--apiserver.client-ca-file=" + certFile, "pki/ca.crt"}},
		{"--apiserver.vmodule=x", []string{"--apiserver.vmodule", `"x"`}},
		{"--apiserver.logging-format=json", []string{"--apiserver.logging-format has no effect", "--apiserver.log-level", "--apiserver.log-file"}},
		{"--etcd.log-outputs=stdout", []string{"--etcd.log-outputs has no effect"}},
	} {
		t.Run(test.flag, func(t *testing.T) { refused(t, h.km(t, "run", "--free-ports", test.flag), test.want...) })
	}
}

// Certificates and keys that users put into the folder are theirs.
func TestUsersKeys(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	pki := filepath.Join(h.dataDir("km"), "pki")
	h.run(t, "apiserver").stop(syscall.SIGTERM)
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}

	// The CA's key is kept elsewhere: nothing new is signed, and nothing needs to be.
	h.run(t).stop(syscall.SIGTERM)
	elsewhere := filepath.Join(h.dir, "ca.key")
	if err := os.Rename(filepath.Join(pki, "ca.key"), elsewhere); err != nil {
		t.Fatal(err)
	}
	p := h.run(t)
	h.must(t, "kubectl", "get", "namespace", "default")
	p.stop(syscall.SIGTERM)
	if err := os.Rename(elsewhere, filepath.Join(pki, "ca.key")); err != nil {
		t.Fatal(err)
	}

	// A CA of the user's, before the first start, is used.
	other := newHome(t)
	key, err := os.ReadFile(filepath.Join(pki, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(other.dataDir("km"), "pki", "ca.crt"), string(ca))
	writeFile(t, filepath.Join(other.dataDir("km"), "pki", "ca.key"), string(key))
	p = other.run(t, "apiserver")
	other.must(t, "kubectl", "get", "namespace", "default")
	p.stop(syscall.SIGTERM)
	if now, err := os.ReadFile(filepath.Join(other.dataDir("km"), "pki", "ca.crt")); err != nil || string(now) != string(ca) {
		t.Errorf("the user's CA was replaced (%v)", err)
	}
	// Its service account key is another one's.
	sa, err := os.ReadFile(filepath.Join(other.dataDir("km"), "pki", "sa.pub"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(pki, "sa.pub"), string(sa))
	refused(t, h.km(t, "run", "--free-ports"), "pki/sa.pub is damaged", "does not belong to sa.key")
}

// kubectl acts on km's cluster or on one that was named, and never on some other.
func TestKubectlTarget(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	writeFile(t, filepath.Join(h.dir, ".kube", "config"), "apiVersion: v1\nkind: Config\nclusters: [{name: km, cluster: {server: https://127.0.0.1:1}}]\n"+
		"users: [{name: km, user: {token: secret}}]\ncontexts: [{name: km, context: {cluster: km, user: km}}]\ncurrent-context: km\n")
	for _, args := range []string{"get pods", "run x --image=i --command -- app --kubeconfig=/etc/x", "version", "config use-context km", "config set-context km --namespace=x",
		"explain pods", "get --raw /healthz"} {
		r := h.km(t, append([]string{"kubectl"}, strings.Fields(args)...)...)
		if r.code != 1 || !strings.Contains(r.stderr, `there is no cluster "km" yet`) || !strings.Contains(r.stderr, "km run") {
			t.Errorf("kubectl %s without a cluster: exit code %d, %s", args, r.code, r.stderr)
		}
	}
	h.must(t, "kubectl", "version", "--client")
	h.must(t, "kubectl", "get", "--help")
	// What needs no cluster needs none here, and is not told of another one.
	if out := h.must(t, "kubectl", "create", "configmap", "x", "--dry-run=client", "-o", "name"); out != "configmap/x\n" {
		t.Errorf("kubectl create --dry-run=client: %s", out)
	}
	for _, args := range []string{"config view", "--v=1 config view", "config get-contexts"} {
		if out := h.must(t, append([]string{"kubectl"}, strings.Fields(args)...)...); strings.Contains(out, "127.0.0.1") || strings.Contains(out, "km") {
			t.Errorf("kubectl %s: %s", args, out)
		}
	}
	writeFile(t, filepath.Join(h.dir, "x.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
	h.must(t, "kubectl", "label", "--local", "-f", filepath.Join(h.dir, "x.yaml"), "a=b", "-o", "name")

	p := h.run(t, "apiserver")
	if r := h.km(t, "kubeconfig", "--merge"); r.code != 1 || !strings.Contains(r.stderr, "belong to another cluster") {
		t.Errorf("merge over another cluster's entries: exit code %d, %s", r.code, r.stderr)
	}
	p.stop(syscall.SIGTERM)
	if r := h.km(t, "kubectl", "get", "pods"); r.code != 1 || !strings.Contains(r.stderr, "Unable to connect to the server: nothing answers at 127.0.0.1:") ||
		!strings.Contains(r.stderr, "`km status`, or start it with `km run`") {
		t.Errorf("kubectl when km does not run: exit code %d, %s", r.code, r.stderr)
	}
}
