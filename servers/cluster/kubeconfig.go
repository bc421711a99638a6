package cluster

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	kubeconfigphase "k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/supervisor"
)

// apart is the file beside a server's kubeconfig that has its certificate and key: clients look at a file again while
// they run, and take what is new there without a restart (k8s.io/client-go/transport). It is "" for the admin, whose
// kubeconfig is copied elsewhere.
func apart(p *supervisor.Plan, name string) string {
	if name == Admin {
		return ""
	}
	return p.Path(kubeconfigDir, name+".pem")
}

// keepsApart reports whether a user's certificate and key are, or are to be, in the file apart. They are not for a
// cluster in a process that goes on after it: upstream's controllers keep their last client for ever, which would look
// at that file for as long (k8s.io/kubernetes/pkg/volume/csi).
func keepsApart(p *supervisor.Plan, apart string, user *clientcmdapi.AuthInfo) bool {
	return isApart(apart, user) || apart != "" && !p.Embedded
}

// keepApart moves a certificate and its key to the file apart. The kubeconfig names that relative to itself, as the
// folder's own path may be another one tomorrow.
func keepApart(apart string, user *clientcmdapi.AuthInfo) error {
	if err := Write(apart, slices.Concat(user.ClientCertificateData, []byte("\n"), user.ClientKeyData)); err != nil {
		return err
	}
	user.ClientCertificate, user.ClientKey = filepath.Base(apart), filepath.Base(apart)
	user.ClientCertificateData, user.ClientKeyData = nil, nil
	return nil
}

// isApart reports whether a user's certificate and key are in the file apart.
func isApart(apart string, user *clientcmdapi.AuthInfo) bool {
	return apart != "" && len(user.ClientCertificateData) == 0 && user.ClientCertificate == filepath.Base(apart)
}

// certificate returns the certificate of a kubeconfig's user. It is nil if that has none, or its file is another one
// than apart, or is not there.
func certificate(apart string, user *clientcmdapi.AuthInfo) (*x509.Certificate, error) {
	cert, key, where := user.ClientCertificateData, user.ClientKeyData, ""
	if isApart(apart, user) {
		text, err := os.ReadFile(apart)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		cert, key, where = text, text, apart+": "
	} else if len(cert) == 0 {
		return nil, nil
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil, fmt.Errorf("%s%w", where, err)
	}
	certs, err := certutil.ParseCertsPEM(cert)
	if err != nil {
		return nil, fmt.Errorf("%s%w", where, err)
	}
	return certs[0], nil
}

// EnsureKubeconfig makes the kubeconfig of an identity: Admin, or a server's. One that is there stays, with what the
// user has added to it; only the address and a certificate that ends soon are replaced. The apiserver's keys must have
// been made.
func (c *Cluster) EnsureKubeconfig(p *supervisor.Plan, name string) error {
	id, err := c.identity(name)
	if err != nil {
		return err
	}
	return c.ensureKubeconfig(p, name, id)
}

func (c *Cluster) ensureKubeconfig(p *supervisor.Plan, name string, id Identity) error {
	if c.pki == nil {
		return fmt.Errorf("the cluster's keys have not been made: %s cannot have a kubeconfig", name)
	}
	file, pem := KubeconfigPath(p, name), apart(p, name)
	have, err := exists(file)
	if err != nil {
		return err
	}
	if !have {
		fresh, err := c.issue(id)
		if err != nil {
			return fmt.Errorf("%s is missing: %w", file, err)
		}
		if _, user := current(fresh); keepsApart(p, pem, user) {
			if err := keepApart(pem, user); err != nil {
				return err
			}
		}
		return writeKubeconfig(file, fresh)
	}
	there, err := clientcmd.LoadFromFile(file)
	if err != nil {
		return damaged(file, cause(err), "remove it, and km makes a new one")
	}
	changed, err := c.refresh(p, there, id, pem)
	switch {
	case errors.Is(err, errNoSigner):
		return fmt.Errorf("%s: %w", file, err)
	case err != nil:
		return damaged(file, err, "remove it, and km makes a new one")
	}
	if !changed {
		return nil
	}
	return writeKubeconfig(file, there)
}

// errNoSigner says that a certificate for a kubeconfig cannot be made.
var errNoSigner = errors.New("there is no key of the authority to sign a certificate for it")

// issue returns a kubeconfig with a new certificate.
func (c *Cluster) issue(id Identity) (*clientcmdapi.Config, error) {
	_, key := pkiutil.PathsForCertAndKey(c.pki.dir, kubeadmconstants.CACertAndKeyBaseName)
	if have, err := exists(key); err != nil {
		return nil, err
	} else if !have {
		return nil, fmt.Errorf("%w: put %s there, or a kubeconfig for the user %s", errNoSigner, key, id.User)
	}
	var text bytes.Buffer
	if err := kubeconfigphase.WriteKubeConfigWithClientCert(&text, c.pki.config, id.User, id.Groups, c.pki.now.Add(year)); err != nil {
		return nil, err
	}
	config, err := clientcmd.Load(text.Bytes())
	if err != nil {
		return nil, err
	}
	for _, cluster := range config.Clusters {
		cluster.Server, cluster.CertificateAuthorityData = c.endpoint, c.trust
	}
	return config, nil
}

// refresh brings what its current context names up to date, and the file apart, and reports whether that changed
// anything in the kubeconfig. It returns an error if that is not for this cluster.
func (c *Cluster) refresh(p *supervisor.Plan, config *clientcmdapi.Config, id Identity, apart string) (changed bool, err error) {
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return false, errors.New("it has no current context")
	}
	cluster, user := config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
	if cluster == nil || user == nil {
		return false, fmt.Errorf("its current context names a cluster %q and a user %q that it does not have", context.Cluster, context.AuthInfo)
	}
	ca, err := os.ReadFile(c.pki.dir + "/ca.crt")
	if err != nil {
		return false, err
	}
	if !bytes.Contains(cluster.CertificateAuthorityData, bytes.TrimSpace(ca)) {
		return false, errors.New("its certificate authority is not that in pki/ca.crt")
	}
	if cluster.Server != c.endpoint || !bytes.Equal(cluster.CertificateAuthorityData, c.trust) {
		cluster.Server, cluster.CertificateAuthorityData = c.endpoint, c.trust
		changed = true
	}
	cert, err := certificate(apart, user)
	if err != nil {
		return false, err
	}
	if cert == nil && !isApart(apart, user) {
		return changed, nil // the user authenticates in another way
	}
	untimely := "is missing"
	if cert != nil {
		untimely = c.pki.untimely(cert)
		// A machine may be given another name; then its node is another one.
		renamed := cert.Subject.CommonName != id.User && strings.HasPrefix(cert.Subject.CommonName, kubeadmconstants.NodesUserPrefix)
		if untimely == "" && !endsSoon(cert, c.pki.now) && !renamed {
			if !keepsApart(p, apart, user) || isApart(apart, user) || cert.Subject.CommonName != id.User {
				return changed, nil
			}
			return true, keepApart(apart, user) // versions before this one have not
		}
		if renamed && untimely == "" {
			untimely = "is for " + cert.Subject.CommonName
		}
	}
	fresh, err := c.issue(id)
	switch {
	case errors.Is(err, errNoSigner) && untimely == "":
		return changed, nil // it is good for a while
	case err != nil && untimely != "":
		return false, fmt.Errorf("its certificate %s: %w", untimely, err)
	case err != nil:
		return false, err
	}
	_, issued := current(fresh)
	if !keepsApart(p, apart, user) {
		config.AuthInfos[context.AuthInfo] = issued
		return true, nil
	}
	if err := keepApart(apart, issued); err != nil {
		return false, err
	}
	if isApart(apart, user) {
		return changed, nil
	}
	config.AuthInfos[context.AuthInfo] = issued
	return true, nil
}

func writeKubeconfig(file string, config *clientcmdapi.Config) error {
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return Write(file, text)
}

func endsSoon(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < renewBefore
}

// Client returns a client with the credentials of a kubeconfig.
func Client(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// CheckKubeconfig looks whether the kubeconfig that the user named for a server, with its flag kubeconfig, can be read.
func CheckKubeconfig(s *supervisor.Server) error {
	file := s.Value("kubeconfig")
	if !s.Given("kubeconfig") || file == "" {
		return nil
	}
	if _, err := clientcmd.LoadFromFile(file); err != nil {
		return fmt.Errorf("%s: --%s.kubeconfig=%s cannot be read: %w", s.Name(), s.Name(), file, cause(err))
	}
	return nil
}
