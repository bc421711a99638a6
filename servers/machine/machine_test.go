package machine

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// authority is a certificate authority of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	cert, key, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{
		Config: certutil.Config{CommonName: "kubernetes"}, EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key}
}

func (a *authority) pem() []byte { return pemOf(a.cert.Raw) }

// serving is a certificate to serve at hosts.
func (a *authority) serving(hosts ...string) tls.Certificate {
	a.t.Helper()
	config := &pkiutil.CertConfig{
		Config:              certutil.Config{CommonName: "kube-apiserver", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256, NotAfter: time.Now().Add(time.Hour),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			config.AltNames.IPs = append(config.AltNames.IPs, ip)
		} else {
			config.AltNames.DNSNames = append(config.AltNames.DNSNames, host)
		}
	}
	cert, key, err := pkiutil.NewCertAndKey(a.cert, a.key, config)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// planOf is a plan for a new folder with servers that have these flags, by name.
func planOf(t *testing.T, servers map[string]map[string]string) *supervisor.Plan {
	p := &supervisor.Plan{Name: "km", DataDir: t.TempDir()}
	for name, flags := range servers {
		s := &supervisor.Server{SimpleUsage: name}
		for flag, value := range flags {
			s.Flags().String(flag, value, "")
		}
		p.Servers = append(p.Servers, s)
	}
	return p
}

// put writes a file of the folder of keys.
func put(t *testing.T, p *supervisor.Plan, name string, text []byte) {
	t.Helper()
	if err := cluster.Write(cluster.PKIPath(p, name), text); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
