package cluster

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// newCluster returns a cluster whose keys have been made in a new folder at the given time, for the given hosts.
func newCluster(t *testing.T, p *supervisor.Plan, now time.Time, hosts ...string) *Cluster {
	t.Helper()
	c := New()
	for _, name := range []string{names.ControllerManager, names.Scheduler} {
		c.Identify(name, Identity{Serves: true})
	}
	c.endpoint = "https://127.0.0.1:6443"
	c.pki = &pki{dir: p.Path("pki"), config: kubeadmConfig(p, net.IPv4(127, 0, 0, 1), hosts, "10.96.0.0/12"), now: now}
	if err := c.pki.ensure(); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(p.Path("pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	c.trust = ca
	return c
}

func newPlan(t *testing.T) *supervisor.Plan {
	return &supervisor.Plan{Name: "km", DataDir: t.TempDir()}
}

// contents are the files of the folder of keys.
func contents(t *testing.T, p *supervisor.Plan) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(p.Path("pki"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(p.Path("pki", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

// changed are the names of the files that differ.
func changed(before, after map[string]string) []string {
	var names []string
	for name := range after {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestKeysAreMadeOnce(t *testing.T) {
	p := newPlan(t)
	newCluster(t, p, time.Now())
	before := contents(t, p)
	newCluster(t, p, time.Now().Add(200*24*time.Hour))
	if names := changed(before, contents(t, p)); len(names) > 0 {
		t.Errorf("changed: %v", names)
	}
}

// A certificate that ends within a month is made anew, for the same key; authorities and keys stay.
func TestCertificatesAreRenewed(t *testing.T) {
	p := newPlan(t)
	c := newCluster(t, p, time.Now())
	if err := c.EnsureKubeconfig(p, "admin"); err != nil {
		t.Fatal(err)
	}
	before := contents(t, p)
	kubeconfig, err := os.ReadFile(KubeconfigPath(p, "admin"))
	if err != nil {
		t.Fatal(err)
	}

	later := newCluster(t, p, time.Now().Add(340*24*time.Hour))
	want := []string{"apiserver-kubelet-client.crt", "apiserver.crt", "front-proxy-client.crt", "kubelet.crt"}
	if names := changed(before, contents(t, p)); !slices.Equal(names, want) {
		t.Errorf("changed: %v, want %v", names, want)
	}
	if err := later.EnsureKubeconfig(p, "admin"); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(KubeconfigPath(p, "admin")); err != nil || bytes.Equal(now, kubeconfig) {
		t.Errorf("the kubeconfig's certificate was not renewed (%v)", err)
	}
}

// A certificate that lacks a name that is needed now is made anew, and keeps the names that it had.
func TestNamesAreAdded(t *testing.T) {
	p := newPlan(t)
	newCluster(t, p, time.Now(), "one.example")
	newCluster(t, p, time.Now(), "two.example")
	certs, err := certutil.CertsFromFile(p.Path("pki", "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one.example", "two.example", "localhost", "127.0.0.1", "10.96.0.1", "kubernetes.default.svc"} {
		if err := certs[0].VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

// What an interrupted first start leaves, a key without its certificate, is gone on with.
func TestInterruptedStart(t *testing.T) {
	p := newPlan(t)
	newCluster(t, p, time.Now())
	before := contents(t, p)
	for name := range before {
		if filepath.Ext(name) != ".key" {
			if err := os.Remove(p.Path("pki", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	newCluster(t, p, time.Now())
	for name, text := range contents(t, p) {
		if filepath.Ext(name) == ".key" && text != before[name] {
			t.Errorf("%s was replaced", name)
		}
	}
}

// What a user adds to a kubeconfig stays when its address changes.
func TestKubeconfigKeepsWhatUsersAdd(t *testing.T) {
	p := newPlan(t)
	c := newCluster(t, p, time.Now())
	if err := c.EnsureKubeconfig(p, "admin"); err != nil {
		t.Fatal(err)
	}
	file := KubeconfigPath(p, "admin")
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = "mine"
	if err := writeKubeconfig(file, config); err != nil {
		t.Fatal(err)
	}
	c.endpoint = "https://127.0.0.1:7443"
	if err := c.EnsureKubeconfig(p, "admin"); err != nil {
		t.Fatal(err)
	}
	if config, err = clientcmd.LoadFromFile(file); err != nil {
		t.Fatal(err)
	}
	context := config.Contexts[config.CurrentContext]
	if got := config.Clusters[context.Cluster].Server; got != c.endpoint || context.Namespace != "mine" {
		t.Errorf("server %s, namespace %q", got, context.Namespace)
	}
}

func TestOlder(t *testing.T) {
	mine := state{Layout: 1, Kubernetes: "v1.37.2", Etcd: "3.7.3"}
	for _, test := range []struct {
		theirs state
		want   string
	}{
		{mine, ""},
		{state{1, "v1.37.9", "3.7.9"}, ""}, // patch releases read each other's data
		{state{1, "v1.36.0", "3.6.0"}, ""},
		{state{1, "v1.38.0", "3.7.3"}, "Kubernetes v1.38.0"},
		{state{1, "v2.0.0", "3.7.3"}, "Kubernetes v2.0.0"},
		{state{1, "v1.37.2", "3.8.0"}, "etcd 3.8.0"},
		{state{2, "v1.37.2", "3.7.3"}, "layout 2"},
		{state{1, "unknown", "3.7.3"}, ""},
	} {
		err := older(test.theirs, mine)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", test.theirs, err, test.want)
		}
	}
}
