package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	imageutils "k8s.io/kubernetes/test/utils/image"

	"github.com/seed-200a7251/km/test/conformance/images"
	"github.com/seed-200a7251/km/test/machines"
)

// Addresses. The registry's is the first machine's.
const (
	podsOfAll   = "10.85.0.0/16"
	servicesDNS = "10.96.0.10"
	registry    = "192.0.2.11:5000"
)

// The container runtime's programs.
const (
	containerd        = "github.com/containerd/containerd/v2/cmd/"
	containerdVersion = "v2.4.2"
	shim              = "containerd-shim-runc-v2"
)

// realMachines are two machines that run real containers: on the first are all servers, the second is a node alone.
type realMachines struct {
	first, second *machine
	km            string
}

// requireReal tells what is missing where nothing real can run.
func requireReal(t *testing.T) (cni string) {
	t.Helper()
	cni, missing := machines.MissingForNodes("apt-get", "dpkg-deb", "gcc")
	if len(missing) > 0 {
		skipOrFail(t, "real nodes need what is missing here: "+strings.Join(missing, ", "))
	}
	return cni
}

// newReal starts them, and waits until both are nodes.
func newReal(ctx context.Context, r *run) cluster {
	t := r.t
	t.Helper()
	cni := requireReal(t)
	// It is built by its own go.mod: in one with Kubernetes, most of that would be compiled anew.
	r.goTool(ctx, "install", "-ldflags=-s -w", containerd+"containerd@"+containerdVersion, containerd+shim+"@"+containerdVersion)
	first, second := newMachines(t, r.report)
	serveImages(ctx, r, first)
	for _, m := range []*machine{first, second} {
		m.startContainerd(filepath.Join(r.bin, "containerd"), cni)
	}
	c := &realMachines{first: first, second: second, km: r.km}
	c.startServers()
	c.joinSecond()
	return c
}

// serveImages has a registry on the machine.
func serveImages(ctx context.Context, r *run, m *machine) {
	t := r.t
	t.Helper()
	var suite images.Suite
	if *official {
		suite = images.Suite{Tests: filepath.Join(r.bin, "e2e.test"), Ginkgo: filepath.Join(r.bin, "ginkgo"), Kubectl: r.km}
	}
	handler, served, err := images.Serve(ctx, filepath.Join(r.bin, "images"), suite)
	if err != nil {
		t.Fatalf("the images: %v", err)
	}
	r.images = served
	listener, err := m.Listen("tcp", registry)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the registry: %v", err)
		}
	})
}

// startContainerd starts the container runtime, whose images all come from the registry.
func (m *machine) startContainerd(binary, cni string) {
	m.t.Helper()
	m.write(fmt.Sprintf(`{
	"cniVersion": "0.4.0", "name": %q,
	"plugins": [
		{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
			"ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}},
		{"type": "portmap", "capabilities": {"portMappings": true}}
	]
}`, m.Cgroup(), m.pods, m.Path("ipam")), "cni", "10-bridge.conflist")
	m.write(fmt.Sprintf("[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+registry), "registries", "_default", "hosts.toml")
	config := m.write(fmt.Sprintf(`
version = 3
root = "%[1]s/r"
state = "%[1]s/s"
[grpc]
  address = "%[1]s/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %[3]q
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "%[1]s/registries"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true # not every root may lower it
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [%[2]q]
  conf_dir = "%[1]s/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = %[4]q
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  Root = "%[1]s/runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test-handler] # specs about RuntimeClass want one of this name
  runtime_type = "io.containerd.runc.v2"
  runtime_path = %[4]q
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.test-handler.options]
  Root = "%[1]s/runc"
`, m.Dir, cni, imageutils.GetPauseImageName(), filepath.Join(filepath.Dir(binary), shim)), "containerd.toml")
	p := m.start("containerd", binary, "--config", config)
	m.until(p, "containerd", func() error {
		c, err := net.Dial("unix", m.Path("c.sock"))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// nodeFlags are those of a km whose machine is a node.
func (m *machine) nodeFlags() []string {
	return []string{"--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://" + m.Path("c.sock"), "--proxy.cluster-cidr=" + podsOfAll}
}

// startServers starts all servers on the first machine.
func (c *realMachines) startServers() {
	m := c.first
	m.t.Helper()
	p := m.start("km", c.km, slices.Concat([]string{"run", "--data-dir=" + m.Path("km")}, m.nodeFlags(), strings.Fields(*with))...)
	m.until(p, "all servers", func() error {
		if text, err := os.ReadFile(p.printed); err != nil || !strings.Contains(string(text), "km: ready after") {
			return fmt.Errorf("they are not ready (%v)", err)
		}
		return nil
	})
}

// kubeconfig is the administrator's.
func (c *realMachines) kubeconfig() string { return c.first.Path("km", "kubeconfig", "admin.conf") }

// kubectl asks the apiserver.
func (c *realMachines) kubectl(args ...string) string {
	c.first.t.Helper()
	return c.first.do(c.km, append([]string{"kubectl", "--kubeconfig=" + c.kubeconfig()}, args...)...)
}

// joinSecond has the second machine join, with keys of its own.
func (c *realMachines) joinSecond() {
	m := c.second
	m.t.Helper()
	c.issue("node", pkix.Name{CommonName: "system:node:" + m.Name, Organization: []string{"system:nodes"}})
	c.issue("proxy", pkix.Name{CommonName: "system:kube-proxy"})
	c.issue("storage", pkix.Name{CommonName: "km:storage"})
	p := m.start("km", c.km, slices.Concat([]string{"run", "minion,storage", "--data-dir=" + m.Path("km"),
		"--executor.kubeconfig=" + c.kubeconfigOf("node"), "--executor.tls-cert-file=" + m.Path("node.crt"), "--executor.tls-private-key-file=" + m.Path("node.key"),
		"--executor.cluster-dns=" + servicesDNS, "--proxy.kubeconfig=" + c.kubeconfigOf("proxy"),
		"--storage.kubeconfig=" + c.kubeconfigOf("storage")}, m.nodeFlags())...)
	m.until(p, "the node", func() error {
		_, err := c.first.try(context.Background(), c.km, "kubectl", "--kubeconfig="+c.kubeconfig(), "get", "node", m.Name)
		return err
	})
	c.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout="+patience.String())
}

// issue writes a key and a certificate by the cluster's CA, to ask and to serve with, into the second machine's folder.
func (c *realMachines) issue(name string, subject pkix.Name) {
	t := c.second.t
	t.Helper()
	ca, err := certutil.CertsFromFile(c.first.Path("km", "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := keyutil.PrivateKeyFromFile(c.first.Path("km", "pki", "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.ParseIP(c.second.IP)}, DNSNames: []string{c.second.Name},
	}, ca[0], key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	c.second.write(string(pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: certificate})), name+".crt")
	c.second.write(string(text), name+".key")
}

// kubeconfigOf writes one of a user for whom there is a certificate.
func (c *realMachines) kubeconfigOf(user string) string {
	ca := c.second.write(readText(c.second.t, c.first.Path("km", "pki", "ca.crt")), "ca.crt")
	return c.second.write(fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: km, cluster: {server: "https://%s:6443", certificate-authority: %q}}]
users: [{name: km, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: km, context: {cluster: km, user: km}}]
current-context: km
`, c.first.IP, ca, c.second.Path(user+".crt"), c.second.Path(user+".key")), user+".kubeconfig")
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// command is one on the first machine, with the administrator's kubeconfig.
func (c *realMachines) command(ctx context.Context, args ...string) *exec.Cmd {
	command := c.first.command(ctx, args[0], args[1:]...)
	command.Env = append(command.Env, "KUBECONFIG="+c.kubeconfig())
	return command.Cmd
}

func (c *realMachines) run(command *exec.Cmd) error { return c.first.Do(command.Run) }
