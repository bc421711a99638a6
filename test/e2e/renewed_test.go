package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// While km runs, certificates are renewed, and servers take a new one without a restart.
func testRenewedWhileRunning(t *testing.T, h home) {
	goroutines := map[string]bool{} // what is done, and by which server
	for stack := range strings.SplitSeq(h.ask(t, "/debug/pprof/goroutine?debug=1"), "\n\n") {
		for _, function := range []string{"cluster.(*Cluster).Renew", "transport.(*dynamicClientCert).run"} {
			if _, labels, _ := strings.Cut(stack, "# labels: "); strings.Contains(stack, function+"+") {
				server, _, _ := strings.Cut(labels, "\n")
				goroutines[function+" "+server] = true
			}
		}
	}
	if !goroutines[`cluster.(*Cluster).Renew {"server":"apiserver"}`] {
		t.Errorf("nothing looks for certificates that end soon: %v", goroutines)
	}
	for _, name := range []string{"apiserver", "controller-manager", "scheduler", "executor", "proxy"} {
		if !goroutines[`transport.(*dynamicClientCert).run {"server":"`+name+`"}`] {
			t.Errorf("%s does not look at the certificate with which it comes to others: %v", name, goroutines)
		}
	}
	for _, name := range []string{"apiserver", "controller-manager", "scheduler"} {
		u, err := url.Parse(h.server(t, name).Address)
		if err != nil {
			t.Fatal(err)
		}
		serial := h.renew(t, name)
		eventually(t, name+" serves with the certificate that has been put there", func() bool {
			conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return false
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(serial) == 0
		})
	}
}

// renew signs a certificate in pki/ again, and returns the serial number of the new one.
func (h home) renew(t *testing.T, name string) *big.Int {
	t.Helper()
	pki := filepath.Join(h.dataDir("km"), "pki")
	load := func(name string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(filepath.Join(pki, name+".crt"), filepath.Join(pki, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	ca, cert := load("ca"), load(name).Leaf
	cert.SerialNumber = new(big.Int).Add(cert.SerialNumber, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.Leaf, cert.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(pki, name+".crt")
	if err := os.WriteFile(file+".new", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber
}
