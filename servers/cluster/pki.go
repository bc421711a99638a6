package cluster

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	certsphase "k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/supervisor"
)

// pki is the folder of keys. What belongs in which certificate is kubeadm's definition (phases/certs). The files are
// written here, because kubeadm writes them neither in one step nor without telling standard output.
type pki struct {
	dir    string
	config *kubeadmapi.InitConfiguration
	now    time.Time
	etcd   bool // etcd has peers, and clients elsewhere
}

// certificates are kubeadm's. etcd's are there only where etcd is to be reached by other machines.
func (k *pki) certificates() certsphase.Certificates {
	if k.etcd {
		return certsphase.GetDefaultCertList()
	}
	return certsphase.GetCertsWithoutEtcd()
}

// kubeadmConfig is what kubeadm's phases have to know about this cluster.
func kubeadmConfig(p *supervisor.Plan, address net.IP, names []string, serviceSubnet string) *kubeadmapi.InitConfiguration {
	cfg := &kubeadmapi.InitConfiguration{}
	cfg.ClusterName = p.Name
	cfg.CertificatesDir = p.Path("pki")
	// Keys on elliptic curves are made in a tenth of a millisecond, RSA keys in a tenth of a second.
	cfg.EncryptionAlgorithm = kubeadmapi.EncryptionAlgorithmECDSAP256
	cfg.LocalAPIEndpoint.AdvertiseAddress = address.String()
	// The kubeconfigs get their address from the cluster; the phase wants a port that could be one.
	cfg.LocalAPIEndpoint.BindPort = 6443
	cfg.Networking.ServiceSubnet = serviceSubnet
	cfg.Networking.DNSDomain = Domain
	cfg.APIServer.CertSANs = append([]string{"localhost", "127.0.0.1", "::1"}, names...)
	cfg.CertificateValidityPeriod = &metav1Year
	cfg.CACertificateValidityPeriod = &metav1TenYears
	return cfg
}

// ensure makes all keys and certificates that are missing, and those anew that end soon or lack a name. What is there
// and is not what it should be is an error: nothing is overwritten that somebody may need.
func (k *pki) ensure() error {
	certificates := k.certificates()
	tree, err := certificates.AsMap().CertTree()
	if err != nil {
		return err
	}
	for ca, leaves := range tree {
		caCert, caKey, err := k.ensureCA(ca)
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			config, err := k.leafConfig(leaf)
			if err != nil {
				return err
			}
			if err := k.ensureLeaf(leaf.BaseName, config, ca.BaseName, caCert, caKey); err != nil {
				return err
			}
		}
		// Whoever keeps the authority's key elsewhere has made all that kubeadm knows of, and does without this one.
		if ca.BaseName == kubeadmconstants.CACertAndKeyBaseName && caKey != nil {
			if err := k.ensureLeaf(kubeletCert, k.servingConfig("km:kubelet"), ca.BaseName, caCert, caKey); err != nil {
				return err
			}
		}
	}
	return k.ensureServiceAccountKey()
}

// leafConfig is for a certificate that kubeadm knows of. kubeadm would have it begin when this process did.
func (k *pki) leafConfig(leaf *certsphase.KubeadmCert) (*pkiutil.CertConfig, error) {
	config, err := leaf.GetConfig(k.config)
	if err != nil {
		return nil, err
	}
	config.NotBefore, config.NotAfter = k.now.Add(-kubeadmconstants.CertificateBackdate), k.now.Add(year)
	return config, nil
}

// kubeletCert is the name of the files of the certificate with which nodes on this machine answer the apiserver.
// kubeadm has none: there each kubelet makes its own.
const kubeletCert = "kubelet"

// servingConfig is for a certificate with which something on this machine serves, at loopback and at the names and
// addresses.
func (k *pki) servingConfig(commonName string, names ...string) *pkiutil.CertConfig {
	config := &pkiutil.CertConfig{
		Config: certutil.Config{
			CommonName: commonName,
			AltNames:   certutil.AltNames{DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}},
			Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		},
		EncryptionAlgorithm: k.config.EncryptionAlgorithm,
		NotAfter:            k.now.Add(year),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			config.AltNames.IPs = append(config.AltNames.IPs, ip)
		} else {
			config.AltNames.DNSNames = append(config.AltNames.DNSNames, name)
		}
	}
	return config
}

// EnsureNodeCert sees to it that the certificate with which nodes on this machine serve is for these names and
// addresses, too. The apiserver's keys must have been made.
func (c *Cluster) EnsureNodeCert(names ...string) error {
	return c.pki.ensureServing(kubeletCert, c.pki.servingConfig("km:kubelet", names...))
}

// ensureServing makes a certificate that the cluster's authority signs.
func (k *pki) ensureServing(name string, config *pkiutil.CertConfig) error {
	return k.ensureSigned(name, config, kubeadmconstants.CACertAndKeyBaseName)
}

// ensureSigned makes a certificate that an authority signs that is there. It needs the authority's key only if there is
// something to sign: whoever keeps that elsewhere has put a certificate there.
func (k *pki) ensureSigned(name string, config *pkiutil.CertConfig, authority string) error {
	cert, err := pkiutil.TryLoadCertFromDisk(k.dir, authority)
	if err != nil {
		return err
	}
	key, err := pkiutil.TryLoadKeyFromDisk(k.dir, authority)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return k.ensureLeaf(name, config, authority, cert, key)
}

// NodeCert is where the certificate is with which nodes on this machine serve, and its key.
func NodeCert(p *supervisor.Plan) (cert, key string) {
	return pkiutil.PathsForCertAndKey(p.Path("pki"), kubeletCert)
}

// damaged is the error about a file that is there, but is not what it should be.
func damaged(file string, why any, wayOut string) error {
	if err, ok := why.(error); ok && errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s cannot be read (%w): make it yours, or run km as the user who may read it", file, cause(err))
	}
	text := fmt.Sprint(why)
	if _, rest, ok := strings.Cut(text, file+": "); ok {
		text = rest // upstream's errors name the file, too
	}
	return fmt.Errorf("%s is damaged (%s): %s", file, text, wayOut)
}

// again is the way to new keys where an authority, whose files are certFile and keyFile, is of no use any more.
func (k *pki) again(authority string) string {
	if authority == kubeadmconstants.CACertAndKeyBaseName {
		return fmt.Sprintf("remove the folders %s and %s, and km makes new keys; then all clients need the new kubeconfig, and tokens of service accounts are void",
			k.dir, filepath.Join(filepath.Dir(k.dir), kubeconfigDir))
	}
	leaf := kubeadmconstants.FrontProxyClientCertAndKeyBaseName
	return fmt.Sprintf("remove %[1]s.crt, %[1]s.key, %[2]s.crt and %[2]s.key, and km makes new ones", filepath.Join(k.dir, authority), filepath.Join(k.dir, leaf))
}

// untimely says why a certificate is of no use now that is what it should be otherwise; "" if it is valid.
func (k *pki) untimely(cert *x509.Certificate) string {
	switch {
	case k.now.Before(cert.NotBefore):
		return fmt.Sprintf("is not valid before %s, and the clock of this machine says %s", inUTC(cert.NotBefore), inUTC(k.now))
	case k.now.After(cert.NotAfter):
		return fmt.Sprintf("is not valid any more since %s; the clock of this machine says %s", inUTC(cert.NotAfter), inUTC(k.now))
	}
	return ""
}

// setClock is the way out for a certificate that is not valid now, beside new ones: the clock may be wrong now, or have
// been when it was made.
func (k *pki) setClock(cert *x509.Certificate) string {
	if k.now.Before(cert.NotBefore) {
		return "set the clock, if that is behind, or wait until then; or "
	}
	return "set the clock, if that is ahead; or "
}

// outOfTime is the error about an authority that is not valid now.
func (k *pki) outOfTime(authority string, cert *x509.Certificate, why string) error {
	certFile, _ := pkiutil.PathsForCertAndKey(k.dir, authority)
	return fmt.Errorf("%s %s: %s%s", certFile, why, k.setClock(cert), k.again(authority))
}

func inUTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// ensureCA returns a certificate authority. Its key is nil if the user keeps it elsewhere.
func (k *pki) ensureCA(spec *certsphase.KubeadmCert) (*x509.Certificate, crypto.Signer, error) {
	certFile, keyFile := pkiutil.PathsForCertAndKey(k.dir, spec.BaseName)
	haveCert, haveKey, err := both(certFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	config, err := spec.GetConfig(k.config)
	if err != nil {
		return nil, nil, err
	}
	// the clock may be set back a little
	config.NotBefore, config.NotAfter = k.now.Add(-kubeadmconstants.CertificateBackdate), k.now.Add(10*year)
	restore := "put back a copy, or " + k.again(spec.BaseName)
	var key crypto.Signer
	if haveKey {
		if key, err = pkiutil.TryLoadKeyFromDisk(k.dir, spec.BaseName); err != nil {
			return nil, nil, damaged(keyFile, cause(err), restore)
		}
	}
	if haveCert {
		cert, err := pkiutil.TryLoadCertFromDisk(k.dir, spec.BaseName)
		switch {
		case err != nil:
			return nil, nil, damaged(certFile, cause(err), restore)
		case !cert.IsCA:
			return nil, nil, damaged(certFile, "it is not a certificate authority", restore)
		case key != nil && !samePublicKey(cert.PublicKey, key.Public()):
			return nil, nil, damaged(keyFile, "it does not belong to "+certFile, restore)
		}
		if why := k.untimely(cert); why != "" {
			return nil, nil, k.outOfTime(spec.BaseName, cert, why)
		}
		return cert, key, nil
	}
	if key == nil {
		if key, err = pkiutil.GeneratePrivateKey(config.EncryptionAlgorithm); err != nil {
			return nil, nil, err
		}
		if err := writeKey(keyFile, key); err != nil {
			return nil, nil, err
		}
	}
	cert, err := pkiutil.NewSelfSignedCACert(config, key)
	if err != nil {
		return nil, nil, err
	}
	return cert, key, Write(certFile, pkiutil.EncodeCertPEM(cert))
}

// ensureLeaf makes a certificate and its key. A certificate that ends soon is made anew for the same key, so that there
// is no moment at which the two do not belong together.
func (k *pki) ensureLeaf(name string, config *pkiutil.CertConfig, caName string, caCert *x509.Certificate, caKey crypto.Signer) error {
	certFile, keyFile := pkiutil.PathsForCertAndKey(k.dir, name)
	haveCert, haveKey, err := both(certFile, keyFile)
	if err != nil {
		return err
	}
	remove := fmt.Sprintf("remove %s and %s, and km makes new ones", certFile, keyFile)
	if caKey == nil { // it cannot
		remove = fmt.Sprintf("replace it and %s by those of a certificate that %s.crt has signed, or put %[2]s.key there and remove both", keyFile, caName)
	}
	var key crypto.Signer
	if haveKey {
		if key, err = pkiutil.TryLoadKeyFromDisk(k.dir, name); err != nil {
			return damaged(keyFile, cause(err), remove)
		}
	}
	lacks := "is missing"
	if haveCert {
		old, err := k.check(name, caName, caCert, key)
		if err != nil {
			return damaged(certFile, err, remove)
		}
		if lacks = k.untimely(old); lacks == "" {
			if name := missing(old, config); name != "" {
				lacks = "is not for " + name
			} else if !endsSoon(old, k.now) || caKey == nil {
				return nil
			}
		}
		if old.Subject.CommonName != config.CommonName {
			return fmt.Errorf("%s is not one that km made, and %s: replace it, or %s", certFile, cmp.Or(lacks, "ends on "+inUTC(old.NotAfter)), remove)
		}
		// Names that somebody added stay.
		config.AltNames.DNSNames = append(config.AltNames.DNSNames, old.DNSNames...)
		config.AltNames.IPs = append(config.AltNames.IPs, old.IPAddresses...)
		pkiutil.RemoveDuplicateAltNames(&config.AltNames)
	}
	if caKey == nil {
		return fmt.Errorf("%s %s, and there is no %s.key to sign a new one: put one of the two there", certFile, lacks, filepath.Join(k.dir, caName))
	}
	if key == nil {
		if key, err = pkiutil.GeneratePrivateKey(config.EncryptionAlgorithm); err != nil {
			return err
		}
		if err := writeKey(keyFile, key); err != nil {
			return err
		}
	}
	cert, err := pkiutil.NewSignedCert(config, key, caCert, caKey, false)
	if err != nil {
		return err
	}
	return Write(certFile, pkiutil.EncodeCertPEM(cert))
}

// check returns a certificate if it belongs to its key and was signed by the authority. That it may not be valid yet,
// or any more, is for the caller to see: it is still what it is.
func (k *pki) check(name, caName string, caCert *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	cert, intermediates, err := pkiutil.TryLoadCertChainFromDisk(k.dir, name)
	switch {
	case err != nil:
		return nil, cause(err)
	case key == nil:
		return nil, errors.New("its key is missing")
	case !samePublicKey(cert.PublicKey, key.Public()):
		return nil, errors.New("its key is another one's")
	}
	if !signedBy(cert, intermediates, caCert, k.now) {
		return nil, fmt.Errorf("it is not signed by %s.crt", caName)
	}
	return cert, nil
}

// signedBy reports whether there is a chain from a certificate to an authority, whatever the time.
func signedBy(cert *x509.Certificate, intermediates []*x509.Certificate, authority *x509.Certificate, now time.Time) bool {
	lasting := func(c *x509.Certificate) *x509.Certificate {
		copied := *c
		copied.NotBefore, copied.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
		return &copied
	}
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	o.Roots.AddCert(lasting(authority))
	for _, c := range intermediates {
		o.Intermediates.AddCert(lasting(c))
	}
	_, err := lasting(cert).Verify(o)
	return err == nil
}

// ensureServiceAccountKey makes the key that signs the tokens of service accounts, and its public half.
func (k *pki) ensureServiceAccountKey() error {
	_, keyFile := pkiutil.PathsForCertAndKey(k.dir, "sa")
	publicFile := keyFile[:len(keyFile)-len("key")] + "pub"
	havePublic, haveKey, err := both(publicFile, keyFile)
	if err != nil {
		return err
	}
	if havePublic && haveKey {
		again := "remove it, and km makes it again from sa.key"
		public, err := keyutil.PublicKeysFromFile(publicFile)
		if err != nil {
			return damaged(publicFile, cause(err), again)
		}
		key, err := pkiutil.TryLoadKeyFromDisk(k.dir, "sa")
		if err != nil {
			return damaged(keyFile, cause(err), "put back a copy, or remove it and sa.pub; then all tokens of service accounts are void")
		}
		if !slices.ContainsFunc(public, func(p any) bool { return samePublicKey(p, key.Public()) }) {
			return damaged(publicFile, "it does not belong to sa.key", again)
		}
		return nil
	}
	if havePublic {
		return fmt.Errorf("%s is there without %s: put that back, or remove it; then all tokens of service accounts are void", publicFile, keyFile)
	}
	var key crypto.Signer
	if haveKey {
		key, err = pkiutil.TryLoadKeyFromDisk(k.dir, "sa")
		if err != nil {
			return damaged(keyFile, cause(err), "put back a copy, or remove it; then all tokens of service accounts are void")
		}
	} else {
		if key, err = pkiutil.GeneratePrivateKey(k.config.EncryptionAlgorithm); err != nil {
			return err
		}
		if err := writeKey(keyFile, key); err != nil {
			return err
		}
	}
	text, err := pkiutil.EncodePublicKeyPEM(key.Public())
	if err != nil {
		return err
	}
	return Write(publicFile, text)
}

// missing returns the first name that a certificate should have and has not.
func missing(cert *x509.Certificate, want *pkiutil.CertConfig) string {
	for _, name := range want.AltNames.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return name
		}
	}
	for _, ip := range want.AltNames.IPs {
		if !slices.ContainsFunc(cert.IPAddresses, ip.Equal) {
			return ip.String()
		}
	}
	return ""
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

func both(certFile, keyFile string) (haveCert, haveKey bool, err error) {
	if haveCert, err = exists(certFile); err != nil {
		return false, false, err
	}
	haveKey, err = exists(keyFile)
	return haveCert, haveKey, err
}

func writeKey(file string, key crypto.Signer) error {
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return Write(file, text)
}

// cause is the innermost error: kubeadm's wrapping repeats the file's name.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
