package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	certutil "k8s.io/client-go/util/cert"
)

// onNode is what a pod's manifest has to say to be on a node.
func onNode(node string) string {
	return "nodeSelector: {kubernetes.io/hostname: " + node + "}\n  "
}

// invite makes a token and returns the arguments of `km run` that are printed for the other machine.
func (n *realNode) invite(t *testing.T, args ...string) []string {
	t.Helper()
	words := strings.Fields(n.command(t, binary, append([]string{"token", "create"}, args...)...))
	if len(words) < 4 || words[0] != "km" || words[1] != "run" {
		t.Fatalf("km token create prints %q", words)
	}
	return words[2:]
}

// withoutToken are the arguments with which a machine starts that has joined.
func withoutToken(args []string) (kept []string) {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "--token=") {
			kept = append(kept, arg)
		}
	}
	return kept
}

// A machine with real containers joins by a token, and is a node as that of the first machine is: with its own
// identity, and with volumes, names and Services. It goes on after a restart without the token.
func TestRealJoin(t *testing.T) {
	t.Parallel()
	all := newRealNodes(t, 2)
	a, b := all[0], all[1]
	a.runContainerd(t)
	b.runContainerd(t)
	first := a.runKM(t, "--advertise")
	join := a.invite(t)
	p := b.runKM(t, join...)
	node := b.host.Name
	a.waitFor(t, "node/"+node, "condition=Ready")
	if ip := a.value(t, "node/"+node, `{.status.addresses[?(@.type=="InternalIP")].address}`); ip != b.host.IP {
		t.Errorf("the node's address is %q, want %s", ip, b.host.IP)
	}

	a.applyReal(t, realClaim("kept")+`
---
apiVersion: v1
kind: Service
metadata: {name: near}
spec: {selector: {app: joined}, ports: [{port: 80, targetPort: 8080}]}
`)
	a.runPod(t, "joined", onNode(node)+`containers: [{name: main, image: APP, volumeMounts: [{name: kept, mountPath: /kept}]}]
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]`)
	t.Run("identity", func(t *testing.T) { testRealJoinIdentity(t, b) })
	t.Run("serving certificate", func(t *testing.T) { testRealJoinServing(t, a, b) })
	t.Run("pod", func(t *testing.T) { testRealJoinPod(t, a, b) })
	a.kubectl(t, "exec", "joined", "--", "/app", "write", "/kept/file", "kept")

	// Without the token: its certificates are there.
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	const state = "{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].ready} {.status.podIP}"
	// It is told to be ready, as long as nobody tells otherwise.
	before := strings.Fields(a.value(t, "pod/joined", state))
	p = b.runKM(t, withoutToken(join)...)
	a.waitFor(t, "node/"+node, "condition=Ready")
	var now []string
	poll(t, "the pod's new container", func(context.Context) (bool, error) {
		now = strings.Fields(a.value(t, "pod/joined", state))
		return len(now) == 4 && now[1] != before[1] && now[2] == "true", nil
	})
	if now[0] != before[0] {
		t.Errorf("the pod is another one: %s, and was %s", now[0], before[0])
	}
	t.Run("pod after a restart", func(t *testing.T) { testRealJoinPod(t, a, b) })
	if out := a.kubectl(t, "exec", "joined", "--", "/app", "cat", "/kept/file"); out != "kept" {
		t.Errorf("in the volume: %q", out)
	}
	a.kubectl(t, "delete", "pod/joined", "pvc/kept", patient)
	poll(t, "the volume's end", func(context.Context) (bool, error) { return a.kubectl(t, "get", "pv", "-o", "name") == "", nil })
	for _, p := range []*process{p, first} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}

// Each server of the machine is known by a certificate of its own, and not by anybody's who may do more.
func testRealJoinIdentity(t *testing.T, b *realNode) {
	for file, user := range map[string]string{"node": "system:node:" + b.host.Name, "proxy": "system:kube-proxy", "storage": "km:storage"} {
		text, err := os.ReadFile(filepath.Join(b.dataDir("km"), "kubeconfig", file+".pem"))
		if err != nil {
			t.Error(err)
			continue
		}
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Subject.CommonName != user {
			t.Errorf("%s.pem is of %s, want %s", file, cert.Subject.CommonName, user)
		}
	}
	if _, err := os.Stat(filepath.Join(b.dataDir("km"), "kubeconfig", "admin.conf")); err == nil {
		t.Error("the machine has the administrator's kubeconfig")
	}
}

// The cluster has signed what the kubelet serves with, for its own name and address.
func testRealJoinServing(t *testing.T, a, b *realNode) {
	roots, err := certutil.NewPool(filepath.Join(a.dataDir("km"), "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{b.host.Name, b.host.IP} {
		conn, err := a.host.Dial(t.Context(), "tcp", net.JoinHostPort(b.host.IP, "10250"))
		if err != nil {
			t.Fatal(err)
		}
		if err := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: name}).HandshakeContext(t.Context()); err != nil {
			t.Errorf("the kubelet as %s: %v", name, err)
		}
		_ = conn.Close()
	}
}

// A pod on the machine has what any pod has.
func testRealJoinPod(t *testing.T, a, b *realNode) {
	if node := a.value(t, "pod/joined", "{.spec.nodeName}"); node != b.host.Name {
		t.Fatalf("the pod is on %s", node)
	}
	volume := a.value(t, "pvc/kept", "{.spec.storageClassName} {.status.phase} {.spec.volumeName}")
	if f := strings.Fields(volume); len(f) != 3 || f[0] != "standard" || f[1] != "Bound" {
		t.Errorf("the claim: %s", volume)
	} else if _, err := os.Stat(filepath.Join(b.dataDir("km"), "volumes", f[2])); err != nil {
		t.Errorf("the volume: %v", err)
	}
	if out := b.get(t, a.podURL(t, "joined")+"/heard"); out == "" {
		t.Error("no answer")
	}
	poll(t, "the request in the logs", func(context.Context) (bool, error) {
		return strings.Contains(a.kubectl(t, "logs", "joined"), "web: GET /heard\n"), nil
	})
	if out := a.kubectl(t, "exec", "joined", "--", "/app", "echo", "hi"); out != "hi\n" {
		t.Errorf("exec: %q", out)
	}
	// Its Service is reached from its own node and from itself, by address and by name.
	ip := a.value(t, "service/near", "{.spec.clusterIP}")
	if out := b.get(t, "http://"+ip+"/"); out != "joined\n" {
		t.Errorf("the Service answers on the node with %q", out)
	}
	dns := a.kubectl(t, "get", "service/kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}")
	if out := a.kubectl(t, "exec", "joined", "--", "/app", "cat", "/etc/resolv.conf"); !strings.Contains(out, "nameserver "+dns+"\n") {
		t.Errorf("resolv.conf, without %s:\n%s", dns, out)
	}
	if out := a.kubectl(t, "exec", "joined", "--", "/app", "get", "-for", "60s", "http://near/"); out != "joined\n" {
		t.Errorf("the Service answers by name with %q", out)
	}
	if out := a.kubectl(t, "exec", "joined", "--", "/app", "get", "-for", "60s", "-ca", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
		"https://"+a.value(t, "service/kubernetes", "{.spec.clusterIP}")+"/healthz"); out != "ok" {
		t.Errorf("the apiserver answers %q", out)
	}
}

// Control planes join with real containers, and a machine that simulated nodes gets a real one. Each has a DNS server,
// and those of all are the cluster's, until their machine leaves.
func TestRealControlPlanes(t *testing.T) {
	t.Parallel()
	all := newRealNodes(t, 2)
	a, b := all[0], all[1]
	a.km = a.start(t, binary, "run", "--advertise")
	a.km.waitReady()
	b.runContainerd(t)
	b.runKM(t, a.invite(t, "--role=control-plane")...)
	dns := func(n *realNode) string {
		return n.kubectl(t, "get", "endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns", "-o", "jsonpath={.items[*].endpoints[*].addresses[*]}")
	}
	nodes := func(n *realNode) string {
		return n.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
	}
	if got := nodes(a); got != b.host.Name+" node-1" {
		t.Errorf("nodes: %q", got)
	}
	if got := dns(a); got != b.host.IP {
		t.Errorf("DNS servers: %q", got)
	}
	// Each machine makes the volumes of its own nodes.
	a.applyReal(t, realClaim("there")+realClaim("simulated"))
	const spec = `containers: [{name: main, image: APP, volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: `
	a.runPod(t, "there", onNode(b.host.Name)+spec+"there}}]")
	a.runPod(t, "simulated", onNode("node-1")+spec+"simulated}}]")
	if out := a.kubectl(t, "exec", "there", "--", "/app", "write", "/v/file", "x"); out != "" {
		t.Errorf("write: %q", out)
	}
	a.kubectl(t, "delete", "pod/there", "pod/simulated", "pvc/there", "pvc/simulated", patient)

	a.stopKM(t)
	a.runContainerd(t)
	a.runKM(t, "--advertise")
	if got := nodes(a); got != a.host.Name+" "+b.host.Name {
		t.Errorf("nodes: %q", got)
	}
	if got := strings.Fields(dns(b)); len(got) != 2 || !slices.Contains(got, a.host.IP) || !slices.Contains(got, b.host.IP) {
		t.Errorf("DNS servers: %q", got)
	}
	// It leads now, and its kubelet goes on.
	b.runPod(t, "after", onNode(b.host.Name)+"containers: [{name: main, image: APP}]")
	for range 4 { // either server may be asked
		if out := a.kubectl(t, "exec", "after", "--", "/app", "lookup", "kubernetes.default"); out != a.value(t, "service/kubernetes", "{.spec.clusterIP}")+"\n" {
			t.Errorf("kubernetes.default is %q", out)
		}
	}
	a.kubectl(t, "delete", "pod", "after", patient)
	b.command(t, binary, "leave", b.host.Name, "--yes")
	await(t, "the end of km", b.km.done)
	if got := nodes(a); got != a.host.Name {
		t.Errorf("nodes: %q", got)
	}
	if got := dns(a); got != a.host.IP {
		t.Errorf("DNS servers: %q", got)
	}
}

// realClaim is the manifest of a claim of the default class.
func realClaim(name string) string {
	return `
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: ` + name + `}
spec: {storageClassName: standard, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`
}
