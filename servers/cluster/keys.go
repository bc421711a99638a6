package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

const year = 365 * 24 * time.Hour

var (
	metav1Year     = metav1.Duration{Duration: year}
	metav1TenYears = metav1.Duration{Duration: 10 * year}
)

// EnsureKeys makes the cluster's keys and the admin's kubeconfig, and gives the apiserver's address to all kubeconfigs
// that are made afterwards. The apiserver's socket must be open.
func (c *Cluster) EnsureKeys(ctx context.Context, p *supervisor.Plan, apiserver *supervisor.Server) (err error) {
	if err := c.Open(ctx, p); err != nil {
		return err
	}
	// The certificate is for the address that the server advertises and for the one on which it is reached here.
	advertise := net.ParseIP(apiserver.Value("advertise-address"))
	if advertise == nil {
		return fmt.Errorf("apiserver: --apiserver.advertise-address: %q is not an IP address", apiserver.Value("advertise-address"))
	}
	var names []string
	if ip := net.ParseIP(apiserver.Value("bind-address")); ip != nil && !ip.IsUnspecified() {
		names = append(names, ip.String())
	}
	if host := apiserver.Value("external-hostname"); host != "" {
		names = append(names, host)
	}
	subnet, _, _ := strings.Cut(apiserver.Value("service-cluster-ip-range"), ",")
	c.endpoint, c.command = HTTPS(apiserver), p.Command
	c.pki = &pki{dir: p.Path("pki"), config: kubeadmConfig(p, advertise, names, subnet), now: time.Now()}
	if IsAdvertised(p) {
		c.pki.etcd = true
		if c.pki.config.NodeRegistration.Name, err = MachineName(p); err != nil {
			return err
		}
	}
	if err := c.pki.ensure(); err != nil {
		return err
	}
	for _, text := range c.pki.ending() {
		apiserver.Logger().Warn(text)
	}
	if err := c.trustIn(p, apiserver); err != nil {
		return err
	}
	return c.EnsureKubeconfig(p, Admin)
}

// trustIn finds out by which certificates clients know the apiserver: the cluster's CA and, if the user has it serve
// with a certificate of theirs, that one. It refuses flags with which km's own clients would be locked out.
func (c *Cluster) trustIn(p *supervisor.Plan, apiserver *supervisor.Server) error {
	ca, err := os.ReadFile(PKIPath(p, "ca.crt"))
	if err != nil {
		return err
	}
	c.trust = ca
	if file := apiserver.Value("client-ca-file"); apiserver.Given("client-ca-file") {
		bundle, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("apiserver: --apiserver.client-ca-file: %w", err)
		}
		if !bytes.Contains(bundle, bytes.TrimSpace(ca)) {
			return fmt.Errorf("apiserver: --apiserver.client-ca-file=%s lacks the certificate in %s, which signs the credentials of km's servers: add it to the file",
				file, PKIPath(p, "ca.crt"))
		}
	}
	file := apiserver.Value("tls-cert-file")
	if !apiserver.Given("tls-cert-file") {
		return nil
	}
	chain, err := certutil.CertsFromFile(file)
	if err != nil {
		return fmt.Errorf("apiserver: --apiserver.tls-cert-file: %w", err)
	}
	u, err := url.Parse(c.endpoint)
	if err != nil {
		return err
	}
	if err := chain[0].VerifyHostname(u.Hostname()); err != nil {
		return fmt.Errorf("apiserver: --apiserver.tls-cert-file=%s is not for %s, where km's servers reach it: %w", file, u.Hostname(), err)
	}
	text, err := certutil.EncodeCertificates(chain...)
	if err != nil {
		return err
	}
	c.trust = slices.Concat(ca, text)
	return nil
}

// NodeTLS is how a node on this machine serves: with a certificate that the apiserver trusts, and to the apiserver
// alone. It is nil if there is no such certificate, because the apiserver is elsewhere, or the key of the authority.
func (c *Cluster) NodeTLS() (*tls.Config, error) {
	if c.pki == nil {
		return nil, nil
	}
	cert, key := pkiutil.PathsForCertAndKey(c.pki.dir, kubeletCert)
	if have, err := exists(cert); !have || err != nil {
		return nil, err
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return nil, err
	}
	ca, err := certutil.NewPool(filepath.Join(c.pki.dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		// for each connection: it may have been renewed
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    ca,
		MinVersion:   tls.VersionTLS12,
		CipherSuites: component.CipherSuiteIDs(),
		VerifyConnection: func(state tls.ConnectionState) error {
			if name := state.PeerCertificates[0].Subject.CommonName; name != kubeadmconstants.APIServerKubeletClientCertCommonName {
				return fmt.Errorf("%s may not ask a node", name)
			}
			return nil
		},
	}, nil
}
