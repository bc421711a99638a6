package cluster

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"
)

// A node answers the apiserver alone: not who comes without a certificate, with another one of the cluster's, or with
// one of the apiserver's name that another authority has signed.
func TestNodesServeTheAPIServer(t *testing.T) {
	p, now := newPlan(t), time.Now()
	c := newCluster(t, p, now)
	config, err := c.NodeTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	server.Listener = tls.NewListener(server.Listener, config)
	server.Start()
	defer server.Close()
	ask := func(cert tls.Certificate) error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			// As an attacker has it: it is sent, whichever authorities the server names.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
		}}}
		r, err := client.Get("https://" + server.Listener.Addr().String())
		if err != nil {
			return err
		}
		return r.Body.Close()
	}
	if err := ask(served(t, p, "apiserver-kubelet-client")); err != nil {
		t.Errorf("the apiserver is refused: %v", err)
	}
	const name = kubeadmconstants.APIServerKubeletClientCertCommonName
	sign(t, p, "front-proxy-client", "ca", "somebody", now.Add(-time.Hour), now.Add(time.Hour))
	sign(t, p, "apiserver-kubelet-client", "front-proxy-ca", name, now.Add(-time.Hour), now.Add(time.Hour))
	for whose, cert := range map[string]tls.Certificate{
		"nobody's":            {},
		"somebody else's":     served(t, p, "front-proxy-client"),
		"another authority's": served(t, p, "apiserver-kubelet-client"),
	} {
		if ask(cert) == nil {
			t.Errorf("who comes with %s certificate is answered", whose)
		}
	}
}
