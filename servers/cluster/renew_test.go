package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// newServers is newCluster with what the controller-manager and the scheduler have.
func newServers(t *testing.T, p *supervisor.Plan, now time.Time) *Cluster {
	t.Helper()
	c := newCluster(t, p, now)
	for _, name := range []string{"controller-manager", "scheduler"} {
		if err := c.pki.ensureServing(name, c.pki.servingConfig("km:"+name, "example.test")); err != nil {
			t.Fatal(err)
		}
		if err := c.EnsureKubeconfig(p, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.EnsureKubeconfig(p, "admin"); err != nil {
		t.Fatal(err)
	}
	return c
}

// all are the files of the folders of keys and of kubeconfigs.
func all(t *testing.T, p *supervisor.Plan) map[string]string {
	t.Helper()
	files := contents(t, p)
	paths, err := filepath.Glob(p.Path(kubeconfigDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

// A run that lasts renews what ends within a month: not before, not what others have made, nothing that is not there,
// and no key of the folder of keys.
func TestRenewedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlan(t)
		began := time.Now()
		c := newServers(t, p, began)
		sign(t, p, "apiserver-kubelet-client", "ca", "mine", began, began.Add(340*day))
		for _, ext := range []string{".crt", ".key"} { // as if nobody had made it
			if err := os.Remove(p.Path("pki", "front-proxy-client"+ext)); err != nil {
				t.Fatal(err)
			}
		}
		before := all(t, p)
		core, logs := observer.New(zapcore.InfoLevel)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Renew(ctx, p, zap.New(core))
		}()

		time.Sleep(309 * day)
		synctest.Wait()
		if names := changed(before, all(t, p)); len(names) > 0 || logs.Len() > 0 {
			t.Errorf("a month and more before the end: changed: %v; %d lines are logged", names, logs.Len())
		}
		time.Sleep(28 * day)
		synctest.Wait()
		now := all(t, p)
		want := []string{"admin.conf", "apiserver.crt", "controller-manager.crt", "controller-manager.pem", "kubelet.crt", "scheduler.crt", "scheduler.pem"}
		if names := changed(before, now); !slices.Equal(names, want) {
			t.Errorf("changed: %v, want %v", names, want)
		}
		if cert := served(t, p, "scheduler"); !slices.Contains(cert.Leaf.DNSNames, "example.test") {
			t.Errorf("it has lost a name: %v", cert.Leaf.DNSNames)
		}
		if n := logs.FilterMessage("a certificate ended soon and was renewed").Len(); n != len(want) {
			t.Errorf("%d renewals are logged, want %d", n, len(want))
		}
		failed := logs.FilterMessage("a certificate cannot be renewed").All()
		if len(failed) == 0 || !strings.Contains(fmt.Sprint(failed[0].ContextMap()), "apiserver-kubelet-client.crt is not one that km made") {
			t.Errorf("of the user's certificate is said: %v", failed)
		}
		time.Sleep(200 * day)
		synctest.Wait()
		if names := changed(now, all(t, p)); len(names) > 0 {
			t.Errorf("renewed again: %v", names)
		}
		cancel()
		<-ended
	})
}

// A real node's certificate is renewed, too; one in a kubeconfig that km has not made is not.
func TestKubeconfigsRenewed(t *testing.T) {
	executor := &supervisor.Server{SimpleUsage: names.Executor}
	executor.Flags().String(RuntimeFlag, CRI, "")
	executor.Flags().String("hostname-override", "one", "")
	p, now := newPlan(t), time.Now()
	p.Servers = []*supervisor.Server{executor}
	c := newServers(t, p, now)
	if err := c.EnsureNodeKubeconfig(p, "one"); err != nil {
		t.Fatal(err)
	}
	mine := Identity{User: "mine"}
	within, err := c.issue(mine)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeKubeconfig(KubeconfigPath(p, "scheduler"), within); err != nil {
		t.Fatal(err)
	}
	beside, err := c.issue(mine)
	if err != nil {
		t.Fatal(err)
	}
	_, user := current(beside)
	if err := keepApart(apart(p, "controller-manager"), user); err != nil {
		t.Fatal(err)
	}
	before := all(t, p)
	core, logs := observer.New(zapcore.WarnLevel)
	c.renew(p, now.Add(340*day), zap.New(core))
	for _, name := range changed(before, all(t, p)) {
		if filepath.Ext(name) == ".pem" && name != "node.pem" || filepath.Ext(name) == ".conf" && name != "admin.conf" {
			t.Errorf("%s was changed", name)
		}
	}
	if all(t, p)["node.pem"] == before["node.pem"] || logs.Len() > 0 {
		t.Errorf("the node's was not renewed: %v", logs.All())
	}
}

// In a process that goes on after the cluster, kubeconfigs have the certificate in them: it is renewed, and told how to
// take it.
func TestKubeconfigsRenewedEmbedded(t *testing.T) {
	p, now := newPlan(t), time.Now()
	p.Embedded = true
	c := newServers(t, p, now)
	before := all(t, p)
	core, logs := observer.New(zapcore.InfoLevel)
	c.renew(p, now.Add(340*day), zap.New(core))
	after := all(t, p)
	for _, name := range []string{"scheduler.conf", "controller-manager.conf", "admin.conf"} {
		if before[name] == after[name] {
			t.Errorf("%s was not renewed", name)
		}
	}
	if after["scheduler.pem"] != "" {
		t.Error("the scheduler looks at a file")
	}
	if n := logs.FilterField(zap.String("to take it within a month", "restart scheduler")).Len(); n != 1 {
		t.Errorf("it is told %d times how the scheduler takes it: %v", n, logs.All())
	}
}

// An authority is never renewed, but it is told when it ends soon.
func TestAuthorityEndsSoon(t *testing.T) {
	p, now := newPlan(t), time.Now()
	c := newServers(t, p, now)
	before := all(t, p)
	core, logs := observer.New(zapcore.WarnLevel)
	c.renew(p, now.Add(10*year-29*day), zap.New(core))
	for _, name := range changed(before, all(t, p)) {
		if strings.HasPrefix(name, "ca.") || strings.HasPrefix(name, "front-proxy-ca.") {
			t.Errorf("%s was changed", name)
		}
	}
	for _, name := range []string{"ca.crt", "front-proxy-ca.crt"} {
		if !slices.ContainsFunc(logs.All(), func(e observer.LoggedEntry) bool {
			return strings.Contains(e.Message, p.Path("pki", name)+" ends on ") && strings.Contains(e.Message, "remove ")
		}) {
			t.Errorf("nothing is said of %s: %v", name, logs.All())
		}
	}
}

// served is a certificate in the folder of keys.
func served(t *testing.T, p *supervisor.Plan, name string) tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(pkiutil.PathsForCertAndKey(p.Path("pki"), name))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A server's client comes with the new certificate without having been made anew, wherever the folder is moved to
// before.
func TestClientsTakeRenewed(t *testing.T) {
	defer func(d time.Duration) { transport.CertCallbackRefreshDuration = d }(transport.CertCallbackRefreshDuration)
	transport.CertCallbackRefreshDuration = 10 * time.Millisecond
	p, now := newPlan(t), time.Now()
	newServers(t, p, now)
	from := p.DataDir
	p.DataDir = filepath.Join(t.TempDir(), "moved, and odd: {$x} #1")
	if err := os.Rename(from, p.DataDir); err != nil {
		t.Fatal(err)
	}
	c := newServers(t, p, now)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].SerialNumber)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{served(t, p, "apiserver")}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	config, err := clientcmd.BuildConfigFromFlags(server.URL, KubeconfigPath(p, "scheduler"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	comesWith := func() string {
		response, err := client.Get(server.URL)
		if err != nil { // its connection was closed
			return ""
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return ""
		}
		return string(text)
	}
	has := func() string {
		cert, err := tls.LoadX509KeyPair(p.Path(kubeconfigDir, "scheduler.pem"), p.Path(kubeconfigDir, "scheduler.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(cert.Leaf.SerialNumber)
	}
	first := has()
	if got := comesWith(); got != first {
		t.Fatalf("it comes with %q, and has %s", got, first)
	}
	c.renew(p, now.Add(340*day), zap.NewNop())
	second := has()
	if second == first {
		t.Fatal("it was not renewed")
	}
	for deadline := time.Now().Add(2 * time.Minute); comesWith() != second; {
		if time.Now().After(deadline) {
			t.Fatal("it still comes with the certificate that was replaced")
		}
	}
}

// A simulated node serves with the new certificate, too.
func TestNodesTakeRenewed(t *testing.T) {
	p, now := newPlan(t), time.Now()
	c := newServers(t, p, now)
	config, err := c.NodeTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	listener := tls.NewListener(server.Listener, config)
	server.Listener = listener
	server.Start()
	defer server.Close()
	serial := func() string {
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{served(t, p, "apiserver-kubelet-client")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return fmt.Sprint(conn.ConnectionState().PeerCertificates[0].SerialNumber)
	}
	first := serial()
	c.renew(p, now.Add(340*day), zap.NewNop())
	if second := serial(); second == first || second != fmt.Sprint(served(t, p, kubeletCert).Leaf.SerialNumber) {
		t.Errorf("it served with %s, and then with %s", first, second)
	}
}

// A kubeconfig of a version that had the certificate in it is brought up to date at a start, with the same certificate;
// the admin's, which people copy, has it in it.
func TestKubeconfigsOfBefore(t *testing.T) {
	p, now := newPlan(t), time.Now()
	c := newServers(t, p, now)
	id, err := c.identity(names.Scheduler)
	if err != nil {
		t.Fatal(err)
	}
	old, err := c.issue(id)
	if err != nil {
		t.Fatal(err)
	}
	_, user := current(old)
	cert := user.ClientCertificateData
	if err := writeKubeconfig(KubeconfigPath(p, "scheduler"), old); err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureKubeconfig(p, "scheduler"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"scheduler": "scheduler.pem", "admin": ""} {
		there, err := clientcmd.LoadFromFile(KubeconfigPath(p, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, user := current(there); user.ClientCertificate != want || user.ClientKey != want || (want == "") != (len(user.ClientCertificateData) > 0) {
			t.Errorf("%s: its certificate is in %q", name, user.ClientCertificate)
		}
	}
	if text := all(t, p)["scheduler.pem"]; !strings.HasPrefix(text, string(cert)) {
		t.Error("it has another certificate now")
	}
	// What is missing or no certificate is told, or mended.
	pem := p.Path(kubeconfigDir, "scheduler.pem")
	if err := os.Remove(pem); err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureKubeconfig(p, "scheduler"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pem, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = c.EnsureKubeconfig(p, "scheduler")
	if err == nil || !strings.Contains(err.Error(), "scheduler.pem") || !strings.Contains(err.Error(), "remove it") {
		t.Fatalf("of a damaged file is said: %v", err)
	}
	follow(t, p, err)
	if err := c.EnsureKubeconfig(p, "scheduler"); err != nil {
		t.Error(err)
	}
}
