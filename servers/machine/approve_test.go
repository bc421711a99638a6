package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	certutil "k8s.io/client-go/util/cert"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/names"
)

// asking is who asks for what.
type asking struct {
	name   string
	user   string
	groups []string
	signer string
	usages []certificatesv1.KeyUsage
	wanted x509.CertificateRequest

	approved bool
	logged   string
}

var (
	clientUsages  = []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
	servingUsages = []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}
)

func (a *asking) request(t *testing.T) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := certutil.MakeCSRFromTemplate(key, &a.wanted)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "asked"}, Spec: certificatesv1.CertificateSigningRequestSpec{
		Request: text, SignerName: a.signer, Usages: a.usages, Username: a.user, Groups: append(a.groups, "system:authenticated"),
	}}
}

// consider has each request looked at by an approver of a cluster, in which there are these objects, and sees what
// becomes of it.
func consider(t *testing.T, all []asking) {
	t.Helper()
	ca := newAuthority(t)
	p := planOf(t, nil)
	served := ca.serving("kubernetes", "kubernetes.default.svc", "first", "localhost", "10.96.0.1", "192.168.1.1", "127.0.0.1")
	put(t, p, "apiserver.crt", pemOf(served.Certificate[0]))
	c := cluster.New()
	c.Identify(names.Executor, cluster.Identity{OnNodes: true})
	c.Identify(names.Storage, cluster.Identity{OnNodes: true})
	c.Identify(names.Proxy, cluster.Identity{User: "system:kube-proxy", OnNodes: true})
	c.Identify(names.Scheduler, cluster.Identity{User: "system:kube-scheduler"})
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			request := test.request(t)
			client := fake.NewClientset(request)
			for name, addresses := range map[string][]string{
				"worker": {"192.168.1.5", "fd00::5", "worker"},
				"liar":   {"192.168.1.1", "192.168.1.2", "10.96.0.1", "127.0.0.1", "fe80::1", "192.168.1.6", "kubernetes.default.svc", "second", "worker"},
				"second": {"192.168.1.7"}, "kubernetes.default.svc": {"192.168.1.8"},
			} {
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
				for _, a := range addresses {
					node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
				}
				if err := client.Tracker().Add(node); err != nil {
					t.Fatal(err)
				}
			}
			for name, address := range map[string]string{"first": "192.168.1.1:6443", "second": "192.168.1.2:6443"} {
				if err := (&Machine{Name: name, Address: address}).tell(t.Context(), client); err != nil {
					t.Fatal(err)
				}
			}
			core, logs := observer.New(zapcore.InfoLevel)
			newApprover(client, c, p, zap.New(core)).consider(t.Context(), request)
			after, err := client.CertificatesV1().CertificateSigningRequests().Get(t.Context(), request.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			approved := slices.ContainsFunc(after.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
				return c.Type == certificatesv1.CertificateApproved && c.Message != ""
			})
			if approved != test.approved {
				t.Errorf("approved: %v, want %v", approved, test.approved)
			}
			said := ""
			for _, line := range logs.All() {
				said += fmt.Sprint(line.Message, line.ContextMap())
			}
			if !strings.Contains(said, test.logged) || test.logged == "" && said != "" {
				t.Errorf("logged: %q, want %q", said, test.logged)
			}
		})
	}
}

// Machines that join as nodes get certificates of those servers that run on nodes, and these renew them. Nobody gets
// those of another one, and nobody anything but the name.
func TestServersOfNodesAreApproved(t *testing.T) {
	token, nodes, planes := "system:bootstrap:abcdef", []string{"system:bootstrappers", nodesGroup}, []string{"system:bootstrappers", controlPlanesGroup}
	all := []asking{
		{name: "storage", user: token, groups: nodes, wanted: wanted("km:storage"), approved: true},
		{name: "executor", user: token, groups: nodes, wanted: wanted("km:executor"), approved: true},
		{name: "proxy", user: token, groups: nodes, wanted: wanted("system:kube-proxy"), approved: true},
		{name: "renews", user: "system:kube-proxy", wanted: wanted("system:kube-proxy"), approved: true},
		{name: "renews another's", user: "system:kube-proxy", wanted: wanted("km:storage")},
		{name: "server of a control plane", user: token, groups: nodes, wanted: wanted("system:kube-scheduler")},
		{name: "renews one of a control plane", user: "system:kube-scheduler", wanted: wanted("system:kube-scheduler")},
		{name: "admin", user: token, groups: nodes, wanted: wanted("kubernetes-admin")},
		{name: "km's own", user: token, groups: nodes, wanted: wanted(user)},
		{name: "a node", user: token, groups: nodes, wanted: wanted("system:node:worker", "system:nodes")},
		{name: "nobody", user: token, groups: nodes, wanted: wanted("")},
		{name: "masters", user: token, groups: nodes, wanted: wanted("km:storage", "system:masters")},
		{name: "renews as one of the masters", user: "km:storage", wanted: wanted("km:storage", "system:masters")},
		{name: "any group", user: token, groups: nodes, wanted: wanted("km:storage", "km")},
		{name: "token of a control plane", user: token, groups: planes, wanted: wanted("km:storage")},
		{name: "token of kubeadm", user: token, groups: []string{"system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token"}, wanted: wanted("km:storage")},
		{name: "a user", user: "alice", groups: []string{"developers"}, wanted: wanted("km:storage")},
		{name: "a node that has joined", user: "system:node:worker", groups: []string{"system:nodes"}, wanted: wanted("km:storage")},
		{name: "anonymous", user: "system:anonymous", groups: []string{"system:unauthenticated"}, wanted: wanted("km:storage")},
		{name: "to serve", user: token, groups: nodes, wanted: wanted("km:storage"), usages: servingUsages},
		{name: "to serve, too", user: token, groups: nodes, wanted: wanted("km:storage"), usages: append(slices.Clone(clientUsages), certificatesv1.UsageServerAuth)},
		{name: "of a name", user: token, groups: nodes, wanted: with(wanted("km:storage"), func(r *x509.CertificateRequest) { r.DNSNames = []string{"kubernetes"} })},
		{name: "of an address", user: token, groups: nodes, wanted: with(wanted("km:storage"), func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(10, 96, 0, 1)} })},
		{name: "of a mailbox", user: token, groups: nodes, wanted: with(wanted("km:storage"), func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} })},
		{name: "of a URI", user: token, groups: nodes, wanted: with(wanted("km:storage"), func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "spiffe", Host: "a"}} })},
		{name: "signer of kubelets", user: token, groups: nodes, wanted: wanted("km:storage"), signer: certificatesv1.KubeAPIServerClientKubeletSignerName},
		{name: "another signer", user: token, groups: nodes, wanted: wanted("km:storage"), signer: "example.com/signer"},
	}
	for i := range all {
		a := &all[i]
		if a.signer == "" {
			a.signer = certificatesv1.KubeAPIServerClientSignerName
		}
		if a.usages == nil {
			a.usages = clientUsages
		}
	}
	consider(t, all)
}

// Nodes serve at their own names and addresses, and at none of an apiserver's, although they say that those are theirs.
func TestNodesServeAtTheirOwnAddresses(t *testing.T) {
	at := func(node string, hosts ...string) x509.CertificateRequest {
		return with(wanted("system:node:"+node, "system:nodes"), func(r *x509.CertificateRequest) {
			for _, host := range hosts {
				if ip := net.ParseIP(host); ip != nil {
					r.IPAddresses = append(r.IPAddresses, ip)
				} else {
					r.DNSNames = append(r.DNSNames, host)
				}
			}
		})
	}
	all := []asking{
		{name: "its own", wanted: at("worker", "worker", "192.168.1.5", "fd00::5"), approved: true},
		{name: "some of its own", wanted: at("worker", "192.168.1.5"), approved: true},
		{name: "an honest one of a liar", wanted: at("liar", "liar", "192.168.1.6"), approved: true},
		{name: "another address", wanted: at("worker", "worker", "192.168.1.9"), logged: "does not have the address 192.168.1.9"},
		{name: "another name", wanted: at("worker", "liar", "192.168.1.5"), logged: "does not have the name liar"},
		{name: "any name", wanted: at("worker", "*", "192.168.1.5"), logged: "does not have the name *"},
		{name: "a name that it only says it has", wanted: at("liar", "worker", "192.168.1.6"), logged: "does not have the name worker"},
		{name: "a name of the apiserver", wanted: at("liar", "kubernetes.default.svc"), logged: "does not have the name kubernetes.default.svc"},
		{name: "called like the apiserver", wanted: at("kubernetes.default.svc", "kubernetes.default.svc"), logged: "is the name of an apiserver"},
		{name: "called like another machine", wanted: at("second", "second"), logged: "second is the name of an apiserver"},
		{name: "the apiserver's address", wanted: at("liar", "192.168.1.1"), logged: "192.168.1.1 is the address of an apiserver"},
		{name: "another apiserver's address", wanted: at("liar", "192.168.1.2"), logged: "192.168.1.2 is the address of an apiserver"},
		{name: "the Service's address", wanted: at("liar", "10.96.0.1"), logged: "10.96.0.1 is the address of an apiserver"},
		{name: "loopback", wanted: at("liar", "127.0.0.1"), logged: "127.0.0.1 is no address at which others reach it"},
		{name: "a link's address", wanted: at("liar", "fe80::1"), logged: "fe80::1 is no address at which others reach it"},
		{name: "no such node", wanted: at("gone", "gone"), logged: "its node cannot be looked at"},
		{name: "another node", user: "system:node:liar", wanted: at("worker", "worker", "192.168.1.5")},
		{name: "a user", user: "alice", wanted: at("worker", "worker", "192.168.1.5")},
		{name: "no node", user: "km:storage", wanted: with(at("worker", "worker"), func(r *x509.CertificateRequest) { r.Subject.CommonName = "km:storage" })},
		{name: "masters", wanted: with(at("worker", "worker"), func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"system:nodes", "system:masters"} })},
		{name: "no group", wanted: with(at("worker", "worker"), func(r *x509.CertificateRequest) { r.Subject.Organization = nil })},
		{name: "nowhere", wanted: at("worker")},
		{name: "a client", usages: append(slices.Clone(servingUsages), certificatesv1.UsageClientAuth), wanted: at("worker", "worker", "192.168.1.5")},
	}
	for i := range all {
		a := &all[i]
		a.signer = certificatesv1.KubeletServingSignerName
		if a.user == "" {
			a.user = a.wanted.Subject.CommonName
		}
		if a.usages == nil {
			a.usages = servingUsages
		}
	}
	consider(t, all)
}

// What has been decided stays as it is.
func TestDecidedRequests(t *testing.T) {
	a := &asking{user: "system:bootstrap:abcdef", groups: []string{nodesGroup}, signer: certificatesv1.KubeAPIServerClientSignerName, usages: clientUsages, wanted: wanted("km:storage")}
	request := a.request(t)
	request.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue}}
	client := fake.NewClientset(request)
	(&approver{client: client, users: []string{"km:storage"}, log: zap.NewNop()}).consider(t.Context(), request)
	if n := len(client.Actions()); n > 0 {
		t.Errorf("%d requests about it: %v", n, client.Actions())
	}
}

func wanted(name string, groups ...string) x509.CertificateRequest {
	return x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: groups}}
}

func with(r x509.CertificateRequest, change func(*x509.CertificateRequest)) x509.CertificateRequest {
	change(&r)
	return r
}
