package kmtest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// AddUser returns the configuration of a client that the cluster knows as this user, in these groups, by a certificate
// of its authority. What the user may do is said by RBAC; the group "system:masters" may do everything. It is an error
// where the cluster's keys are not at hand: it has no apiserver, or it is not km's.
func (c *Cluster) AddUser(name string, groups ...string) (*rest.Config, error) {
	if c.Config == nil {
		return nil, errors.New("no user: the cluster has no apiserver")
	}
	if c.DataDir == "" {
		return nil, errors.New("no user: the cluster is not km's, and its keys are not known")
	}
	cert, key, err := c.sign(pkix.Name{CommonName: name, Organization: groups})
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	config := rest.AnonymousClientConfig(c.Config)
	config.CertData, config.KeyData = cert, key
	return config, nil
}

// sign makes a client's key, and has the cluster's authority sign it.
func (c *Cluster) sign(subject pkix.Name) (cert, key []byte, err error) {
	pki := filepath.Join(c.DataDir, "pki")
	ca, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		return nil, nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	return issue(&x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &ca)
}

// Kubeconfig is a kubeconfig with which kubectl, or any other program, is this client. It is an error where a
// kubeconfig cannot say how the client is known: by functions of Go.
func Kubeconfig(config *rest.Config) ([]byte, error) {
	if config.AuthProvider != nil || config.Transport != nil || config.WrapTransport != nil || config.Dial != nil || config.Proxy != nil {
		return nil, errors.New("no kubeconfig: the client has functions (AuthProvider, Transport, WrapTransport, Dial, Proxy), which no file can have")
	}
	whole := rest.CopyConfig(config)
	if err := rest.LoadTLSFiles(whole); err != nil {
		return nil, err
	}
	const name = "kmtest"
	return clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server: whole.Host, CertificateAuthorityData: whole.CAData, InsecureSkipTLSVerify: whole.Insecure, TLSServerName: whole.ServerName,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: whole.CertData, ClientKeyData: whole.KeyData, Token: whole.BearerToken, TokenFile: whole.BearerTokenFile,
			Username: whole.Username, Password: whole.Password, Exec: whole.ExecProvider,
			Impersonate: whole.Impersonate.UserName, ImpersonateUID: whole.Impersonate.UID,
			ImpersonateGroups: whole.Impersonate.Groups, ImpersonateUserExtra: whole.Impersonate.Extra,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
}
