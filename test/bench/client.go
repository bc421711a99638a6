//go:build unix

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// access is what it takes to talk to a cluster as its administrator. Who has it need not wait for the cluster: km makes
// the keys while it starts.
type access struct {
	pki       string // folder with the cluster's authority
	apiserver string // URL
}

// client talks to the servers of one cluster from outside. It has no limits of its own.
type client struct {
	access
	http *http.Client
	api  kubernetes.Interface
}

// connect returns a client with connections of its own. It makes itself a certificate with the cluster's own authority.
// km's admin.conf would not do for both sides: what that user may do is bound by km, and upstream's apiserver alone
// knows of the group system:masters only.
func (a access) connect() (*client, error) {
	cert, key, err := a.master()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	c := &client{access: a, http: &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{pair},
			// The scheduler's certificate is signed by itself; and nothing secret is sent to anybody.
			InsecureSkipVerify: true,
		},
	}}}
	config := &rest.Config{Host: a.apiserver, QPS: -1}
	config.ContentType = runtime.ContentTypeProtobuf
	config.WarningHandler = rest.NoWarnings{}
	c.api, err = kubernetes.NewForConfigAndClient(config, c.http)
	return c, err
}

// master makes a certificate of system:masters, and its key.
func (a access) master() (cert, key []byte, err error) {
	authority, err := tls.LoadX509KeyPair(filepath.Join(a.pki, "ca.crt"), filepath.Join(a.pki, "ca.key"))
	if err != nil {
		return nil, nil, err
	}
	signer, ok := authority.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the key of the authority cannot sign")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "km-bench", Organization: []string{"system:masters"}},
		NotBefore:    authority.Leaf.NotBefore,
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, private.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// writeKubeconfig makes a kubeconfig for a component that needs an administrator's.
func (a access) writeKubeconfig(file string) error {
	cert, key, err := a.master()
	if err != nil {
		return err
	}
	const name = "bench"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: a.apiserver, CertificateAuthority: filepath.Join(a.pki, "ca.crt")}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, file)
}

func (c *client) close() { c.http.CloseIdleConnections() }

// ok reports why a health endpoint does not say that all is well.
func (c *client) ok(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := get(ctx, c.http, url)
	return err
}

// get returns the body of an answer that is OK.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %.500s", response.Status, strings.Join(strings.Fields(string(text)), " "))
	}
	return string(text), err
}
