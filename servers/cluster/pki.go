package cluster

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
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
	certificates := certsphase.GetCertsWithoutEtcd()
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
			config, err := leaf.GetConfig(k.config)
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

// kubeletCert is the name of the files of the certificate with which nodes on this machine answer the apiserver. kubeadm has
// none: there each kubelet makes its own.
const kubeletCert = "kubelet"

// servingConfig is for a certificate with which something on this machine serves, at loopback and at the names and addresses.
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

// EnsureNodeCert sees to it that the certificate with which nodes on this machine serve is for these names and addresses, too.
// The apiserver's keys must have been made.
func (c *Cluster) EnsureNodeCert(names ...string) error {
	return c.pki.ensureServing(kubeletCert, c.pki.servingConfig("km:kubelet", names...))
}

// ensureServing makes a certificate that the cluster's authority signs. It needs the authority's key only if there is something to
// sign: whoever keeps that elsewhere has put a certificate there.
func (k *pki) ensureServing(name string, config *pkiutil.CertConfig) error {
	authority := kubeadmconstants.CACertAndKeyBaseName
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
	text := fmt.Sprint(why)
	if _, rest, ok := strings.Cut(text, file+": "); ok {
		text = rest // upstream's errors name the file, too
	}
	return fmt.Errorf("%s is damaged (%s): %s", file, text, wayOut)
}

const restoreCA = "put back a copy, or remove the folders pki and kubeconfig beside it; then all clients need the new kubeconfig"

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
	var key crypto.Signer
	if haveKey {
		if key, err = pkiutil.TryLoadKeyFromDisk(k.dir, spec.BaseName); err != nil {
			return nil, nil, damaged(keyFile, cause(err), restoreCA)
		}
	}
	if haveCert {
		cert, err := pkiutil.TryLoadCertFromDisk(k.dir, spec.BaseName)
		switch {
		case err != nil:
			return nil, nil, damaged(certFile, cause(err), restoreCA)
		case !cert.IsCA:
			return nil, nil, damaged(certFile, "it is not a certificate authority", restoreCA)
		case k.now.After(cert.NotAfter):
			return nil, nil, damaged(certFile, "it ended on "+cert.NotAfter.Format(time.DateOnly), restoreCA)
		case key != nil && !samePublicKey(cert.PublicKey, key.Public()):
			return nil, nil, damaged(keyFile, "it does not belong to "+certFile, restoreCA)
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
	var key crypto.Signer
	if haveKey {
		if key, err = pkiutil.TryLoadKeyFromDisk(k.dir, name); err != nil {
			return damaged(keyFile, cause(err), remove)
		}
	}
	if haveCert {
		old, err := k.check(name, caName, caCert, key)
		if err != nil {
			return damaged(certFile, err, remove)
		}
		lacks := missing(old, config)
		if !endsSoon(old, k.now) && lacks == "" {
			return nil
		}
		if old.Subject.CommonName != config.CommonName {
			return fmt.Errorf("%s is not one that km made, and it ends soon or lacks a name (%s): replace it, or %s", certFile, lacks, remove)
		}
		// Names that somebody added stay.
		config.AltNames.DNSNames = append(config.AltNames.DNSNames, old.DNSNames...)
		config.AltNames.IPs = append(config.AltNames.IPs, old.IPAddresses...)
		pkiutil.RemoveDuplicateAltNames(&config.AltNames)
	}
	if caKey == nil {
		return fmt.Errorf("%s is missing, ends soon or lacks a name, and there is no %s.key to sign a new one: put one of the two there", certFile, caName)
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

// check returns a certificate if it belongs to its key and was signed by the authority. That it may have ended is for the
// caller to see: it is still what it is.
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
	lasting := *cert
	lasting.NotAfter = k.now.Add(time.Hour)
	if err := pkiutil.VerifyCertChain(&lasting, intermediates, caCert); err != nil {
		return nil, fmt.Errorf("it is not signed by %s.crt", caName)
	}
	return cert, nil
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
