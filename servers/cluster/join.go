package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	certstore "k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/keyutil"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Credentials are the certificate and key of one identity on a machine that has joined a cluster. The key is made there
// and stays there. It is a certificate.Store of client-go.
type Credentials struct {
	// Name is that of the identity: NodeKubeconfig, or a server's.
	Name string
	Identity
	file string
}

// JoinedCredentials are those that the selected servers of a machine need that joins as a node.
func (c *Cluster) JoinedCredentials(p *supervisor.Plan) ([]*Credentials, error) {
	var all []*Credentials
	add := func(name string, id Identity) {
		all = append(all, &Credentials{Name: name, Identity: id, file: apart(p, name)})
	}
	for name, id := range c.Identities() {
		switch {
		case name == names.Executor && p.Selected(name) && HasRealNode(p):
			node, err := NodeName(p)
			if err != nil {
				return nil, err
			}
			add(NodeKubeconfig, nodeIdentity(node))
		case id.OnNodes && p.Selected(name):
			add(name, id)
		}
	}
	return all, nil
}

// Current is that of a certificate.Store.
func (c *Credentials) Current() (*tls.Certificate, error) {
	text, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		none := certstore.NoCertKeyError(c.file + " is missing")
		return nil, &none
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, damaged(c.file, err, "remove it, and join again with a new token")
	}
	return &pair, nil
}

// Update is that of a certificate.Store.
func (c *Credentials) Update(cert, key []byte) (*tls.Certificate, error) {
	if err := Write(c.file, slices.Concat(cert, []byte("\n"), key)); err != nil {
		return nil, err
	}
	return c.Current()
}

// WriteKubeconfig makes the kubeconfig that they are for: with the address of the cluster, and the certificates of its
// authority.
func (c *Credentials) WriteKubeconfig(p *supervisor.Plan, address string, ca []byte) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[p.Name] = &clientcmdapi.Cluster{Server: address, CertificateAuthorityData: ca}
	user := &clientcmdapi.AuthInfo{}
	if _, err := c.Current(); err != nil {
		return fmt.Errorf("%s: %w", KubeconfigPath(p, c.Name), err)
	}
	user.ClientCertificate, user.ClientKey = c.Name+".pem", c.Name+".pem"
	config.AuthInfos[c.User] = user
	config.Contexts[p.Name] = &clientcmdapi.Context{Cluster: p.Name, AuthInfo: c.User}
	config.CurrentContext = p.Name
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return Write(KubeconfigPath(p, c.Name), text)
}

// Sign returns a certificate that an authority in the data folder has signed just now, and its key, for what this
// process asks of other machines before it runs anything. It is valid for an hour.
func Sign(p *supervisor.Plan, authority, user string, groups []string) (cert, key []byte, err error) {
	caCert, caKey, err := pkiutil.TryLoadCertAndKeyFromDisk(p.Path("pki"), authority)
	if err != nil {
		return nil, nil, err
	}
	signed, signer, err := pkiutil.NewCertAndKey(caCert, caKey, &pkiutil.CertConfig{
		Config:              certutil.Config{CommonName: user, Organization: groups, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
		NotAfter:            time.Now().Add(time.Hour),
	})
	if err != nil {
		return nil, nil, err
	}
	key, err = keyutil.MarshalPrivateKeyToPEM(signer)
	return pkiutil.EncodeCertPEM(signed), key, err
}

// EtcdTLS is how members of etcd on other machines are asked.
func EtcdTLS(p *supervisor.Plan) (*tls.Config, error) {
	cert, key, err := Sign(p, kubeadmconstants.EtcdCACertAndKeyBaseName, kubeadmconstants.EtcdHealthcheckClientCertCommonName, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	ca, err := certutil.NewPool(PKIPath(p, kubeadmconstants.EtcdCACertName))
	return &tls.Config{RootCAs: ca, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, err
}
