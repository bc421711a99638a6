package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	certstore "k8s.io/client-go/util/certificate"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// planned is a plan for a new folder with these servers, and with these flags of the server machine if that is one.
func planned(t *testing.T, servers string, flags ...string) *supervisor.Plan {
	p := newPlan(t)
	for _, name := range strings.Fields(servers) {
		s := &supervisor.Server{SimpleUsage: name}
		if name == names.Machine {
			for _, f := range []string{AdvertiseFlag, component.JoinFlag} {
				s.Flags().String(f, "", "")
			}
			s.Flags().String(RoleFlag, RoleNode, "")
			if err := s.Flags().Parse(flags); err != nil {
				t.Fatal(err)
			}
		}
		p.Servers = append(p.Servers, s)
	}
	return p
}

// Which machines others reach, and which are nodes of a cluster elsewhere.
func TestPlansOfMachines(t *testing.T) {
	for _, test := range []struct {
		servers, flags      string
		advertised, joined  bool
		address             string // "" for none
		makesOwnKubeconfigs bool
	}{
		{"apiserver etcd", "", false, false, "", true},
		{"apiserver machine", "", false, false, "", true},
		{"apiserver machine", "--advertise=192.168.1.1", true, false, "192.168.1.1", true},
		{"apiserver machine", "--advertise=fd00::1", true, false, "fd00::1", true},
		{"apiserver machine", "--join=one --role=control-plane --advertise=192.168.1.2", true, false, "192.168.1.2", true},
		{"apiserver machine", "--role=control-plane", false, false, "", true},
		{"executor machine", "--join=one", false, true, "", true},
		{"executor machine", "--advertise=192.168.1.1", true, false, "", false},
		{"executor", "", false, false, "", false},
	} {
		p := planned(t, test.servers, strings.Fields(test.flags)...)
		if got := IsAdvertised(p); got != test.advertised {
			t.Errorf("%s %s: advertised: %v", test.servers, test.flags, got)
		}
		if got := IsJoined(p); got != test.joined {
			t.Errorf("%s %s: joined: %v", test.servers, test.flags, got)
		}
		if got := HasKubeconfigs(p); got != test.makesOwnKubeconfigs {
			t.Errorf("%s %s: has kubeconfigs: %v", test.servers, test.flags, got)
		}
		got := ""
		if ip := Advertised(p); ip != nil {
			got = ip.String()
		}
		if got != test.address {
			t.Errorf("%s %s: %q, want %q", test.servers, test.flags, got, test.address)
		}
	}
	p := planned(t, "apiserver machine", "--advertise=fd00::1")
	if c, p := EtcdClientURL(p), EtcdPeerURL(p); c != "https://[fd00::1]:2379" || p != "https://[fd00::1]:2380" {
		t.Errorf("etcd is at %s and %s", c, p)
	}
}

// A folder of a machine that has joined is used for that alone, and not at all once it has left.
func TestCheckJoined(t *testing.T) {
	node := Membership{Role: RoleNode, CAHash: "1a", APIServers: []string{"192.168.1.1:6443", "192.168.1.2:6443"}}
	plane, left := node, node
	plane.Role, left.Left = ControlPlane, true
	for _, test := range []struct {
		was            *Membership
		servers, flags string
		want           string
	}{
		{nil, "apiserver", "", ""},
		{nil, "executor machine", "--join=192.168.1.1", ""},
		{&node, "executor machine", "--join=192.168.1.1", ""},
		{&node, "", "", ""}, // a command
		{&left, "", "", ""},
		{&node, "apiserver", "", "run minion --join=192.168.1.1:6443`"},
		{&node, "apiserver machine", "--advertise=192.168.1.1", "is a part of the cluster at 192.168.1.1:6443"},
		{&plane, "apiserver", "", "run --join=192.168.1.1:6443 --role=control-plane`"},
		{&left, "executor machine", "--join=192.168.1.1", "this machine has left the cluster"},
		{&left, "apiserver", "", "this machine has left the cluster"},
	} {
		p := planned(t, test.servers, strings.Fields(test.flags)...)
		if test.was != nil {
			if err := test.was.Write(p); err != nil {
				t.Fatal(err)
			}
			got, err := ReadMembership(p)
			if err != nil || got.Role != test.was.Role || got.CAHash != test.was.CAHash || got.Left != test.was.Left || !slices.Equal(got.APIServers, test.was.APIServers) {
				t.Errorf("it is read as %+v, %v", got, err)
			}
		}
		err := checkJoined(p)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v, %s %s: %v, want %q", test.was, test.servers, test.flags, err, test.want)
		}
	}
}

// Credentials are of the servers of nodes that are selected, and of a real node.
func TestJoinedCredentials(t *testing.T) {
	c := New()
	c.Identify(names.Executor, Identity{OnNodes: true})
	c.Identify(names.Proxy, Identity{User: "system:kube-proxy", OnNodes: true})
	c.Identify(names.Storage, Identity{OnNodes: true})
	c.Identify(names.Scheduler, Identity{})
	for runtime, want := range map[string]string{
		Simulated: "executor=km:executor proxy=system:kube-proxy",
		CRI:       "node=system:node:worker proxy=system:kube-proxy",
	} {
		p := planned(t, "executor proxy scheduler machine", "--join=one")
		p.Server(names.Executor).Flags().String(RuntimeFlag, runtime, "")
		p.Server(names.Executor).Flags().String("hostname-override", "worker", "")
		all, err := c.JoinedCredentials(p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range all {
			got = append(got, one.Name+"="+one.User)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", runtime, text, want)
		}
	}
}

// Credentials are kept in one file for their owner alone, which the kubeconfig names.
func TestCredentials(t *testing.T) {
	p := newPlan(t)
	newCluster(t, p, time.Now())
	c := &Credentials{Name: "toy", Identity: Identity{User: "km:toy"}, file: apart(p, "toy")}
	var none *certstore.NoCertKeyError
	if _, err := c.Current(); !errors.As(err, &none) {
		t.Errorf("without any: %v", err)
	}
	if err := c.WriteKubeconfig(p, "https://127.0.0.1:6444", nil); err == nil {
		t.Error("there is a kubeconfig without a certificate")
	}
	if _, err := os.Stat(KubeconfigPath(p, "toy")); err == nil {
		t.Error("it was written")
	}
	sign := func(user string) (cert, key []byte) {
		t.Helper()
		cert, key, err := Sign(p, "ca", user, []string{"toys"})
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	ca, err := os.ReadFile(PKIPath(p, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"km:toy", "renewed"} {
		cert, key := sign(user)
		updated, err := c.Update(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		current, err := c.Current()
		if err != nil {
			t.Fatal(err)
		}
		for _, pair := range []*tls.Certificate{updated, current} {
			if pair.Leaf.Subject.CommonName != user {
				t.Errorf("they are of %q, want %q", pair.Leaf.Subject.CommonName, user)
			}
		}
		if info, err := os.Stat(c.file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if err := c.WriteKubeconfig(p, "https://127.0.0.1:6444", ca); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", KubeconfigPath(p, "toy"))
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:6444" || string(config.CAData) != string(ca) || config.CertFile != c.file || config.KeyFile != c.file || len(config.KeyData) > 0 {
		t.Errorf("the kubeconfig leads to %s with %s", config.Host, config.CertFile)
	}
	if _, err := rest.TLSConfigFor(config); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(KubeconfigPath(p, "toy")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(c.file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Current(); errors.As(err, &none) || err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("nonsense: %v", err)
	}
}

// What is signed for an errand is of that authority, for a client, and soon over.
func TestSign(t *testing.T) {
	p := newPlan(t)
	newCluster(t, p, time.Now())
	cert, key, err := Sign(p, "ca", "somebody", []string{"some"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(authority string, usage x509.ExtKeyUsage, at time.Time) error {
		text, err := os.ReadFile(PKIPath(p, authority+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at})
		return err
	}
	now := time.Now()
	if err := verify("ca", x509.ExtKeyUsageClientAuth, now.Add(59*time.Minute)); err != nil {
		t.Error(err)
	}
	if verify("front-proxy-ca", x509.ExtKeyUsageClientAuth, now) == nil {
		t.Error("it is of another authority")
	}
	if verify("ca", x509.ExtKeyUsageServerAuth, now) == nil {
		t.Error("one can serve with it")
	}
	if verify("ca", x509.ExtKeyUsageClientAuth, now.Add(61*time.Minute)) == nil {
		t.Error("it lasts for more than an hour")
	}
	if s := pair.Leaf.Subject; s.CommonName != "somebody" || !slices.Equal(s.Organization, []string{"some"}) || pair.Leaf.IsCA {
		t.Errorf("it is of %v", s)
	}
	if err := os.Remove(PKIPath(p, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Sign(p, "ca", "somebody", nil); err == nil {
		t.Error("nobody needs the authority's key")
	}
}
