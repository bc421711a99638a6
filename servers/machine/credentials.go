package machine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"

	"github.com/seed-200a7251/km/servers/cluster"
)

// issueTime is how long a cluster may take to sign a request.
const issueTime = time.Minute

// template is the request for a certificate. The key is an ECDSA one, as all of km's.
func template(c *cluster.Credentials) *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: c.User, Organization: c.Groups}}
}

// signer is who signs it: that of kubelets knows nodes alone.
func signer(c *cluster.Credentials) string {
	if c.Name == cluster.NodeKubeconfig {
		return certificatesv1.KubeAPIServerClientKubeletSignerName
	}
	return certificatesv1.KubeAPIServerClientSignerName
}

// request has the cluster sign a certificate for a key that is made here.
func request(ctx context.Context, client kubernetes.Interface, c *cluster.Credentials) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	text, err := certutil.MakeCSRFromTemplate(key, template(c))
	if err != nil {
		return err
	}
	name, uid, err := csr.RequestCertificateWithContext(ctx, client, text, "", signer(c), nil, certificate.DefaultKubeletClientGetUsages(key), key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, issueTime)
	defer cancel()
	certPEM, err := csr.WaitForCertificate(ctx, client, name, uid)
	switch {
	case wait.Interrupted(err):
		return fmt.Errorf("nobody has signed the request %s for a certificate: see `kubectl describe csr %[1]s` there", name)
	case err != nil:
		return fmt.Errorf("the request %s for a certificate of %s: %w", name, c.User, err)
	}
	_, err = c.Update(certPEM, keyPEM)
	return err
}

// valid reports whether credentials are there, of this user, that can be used now.
func valid(c *cluster.Credentials, now time.Time) (bool, error) {
	pair, err := c.Current()
	var none *certificate.NoCertKeyError
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return pair.Leaf.Subject.CommonName == c.User && now.After(pair.Leaf.NotBefore) && now.Before(pair.Leaf.NotAfter), nil
}

// keepValid has credentials renewed by the cluster until ctx ends, when seven to nine tenths of their time are over, as
// kubelets do. Who uses them reads the file again.
func keepValid(ctx context.Context, o *other, c *cluster.Credentials) (stop func(), err error) {
	m, err := certificate.NewManager(&certificate.Config{
		Name: c.Name,
		Ctx:  &ctx,
		ClientsetFn: func(current *tls.Certificate) (kubernetes.Interface, error) {
			if current == nil {
				return nil, fmt.Errorf("the certificate of %s has ended: join again with a new token", c.User)
			}
			key, err := keyutil.MarshalPrivateKeyToPEM(current.PrivateKey)
			if err != nil {
				return nil, err
			}
			return o.client(withCertificate(current, key))
		},
		Template:         template(c),
		SignerName:       signer(c),
		GetUsages:        certificate.DefaultKubeletClientGetUsages,
		CertificateStore: c,
	})
	if err != nil {
		return nil, err
	}
	m.Start()
	return m.Stop, nil
}

// withCertificate has a client come with a certificate.
func withCertificate(pair *tls.Certificate, key []byte) func(*rest.Config) {
	var text strings.Builder
	for _, der := range pair.Certificate {
		text.Write(pemOf(der))
	}
	return func(c *rest.Config) { c.CertData, c.KeyData = []byte(text.String()), key }
}
