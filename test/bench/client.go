//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// client talks to the servers of one cluster from outside, as one of their administrators.
type client struct{ http *http.Client }

// newClient makes itself a certificate with the cluster's own authority. km's admin.conf would not do for both sides: what
// that user may do is bound by km, and upstream's apiserver alone knows of the group system:masters only.
func newClient(pki string) (*client, error) {
	authority, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(authority.Certificate[0])
	if err != nil {
		return nil, err
	}
	signer, ok := authority.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key of the authority cannot sign")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "km-bench", Organization: []string{"system:masters"}},
		NotBefore:    parent.NotBefore,
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return &client{&http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
			// The scheduler's certificate is signed by itself; and nothing secret is sent to anybody.
			InsecureSkipVerify: true,
		},
	}}}, nil
}

// separate returns a client with connections of its own.
func (c *client) separate() *client {
	return &client{&http.Client{Transport: c.http.Transport.(*http.Transport).Clone()}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// open sends a request and returns the body of an answer that is OK.
func (c *client) open(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		response.Body.Close()
		return nil, fmt.Errorf("%s: %s", response.Status, strings.Join(strings.Fields(string(text)), " "))
	}
	return response.Body, nil
}

// ok reports why a health endpoint does not say that all is well.
func (c *client) ok(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := c.open(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// exists waits until there is an object. It watches: to ask a hundred times a second for seconds would show in the
// server's CPU time.
func (c *client) exists(ctx context.Context, collection, name string) error {
	body, err := c.open(ctx, collection+"?watch=1&timeoutSeconds=60&fieldSelector=metadata.name%3D"+name)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"type":"ADDED"`) {
			return nil
		}
	}
	return fmt.Errorf("the watch has ended: %w", lines.Err())
}
