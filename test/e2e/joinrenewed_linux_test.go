package e2e

import (
	"bytes"
	"crypto/x509"
	"path/filepath"
	"testing"

	certutil "k8s.io/client-go/util/cert"
)

// The certificates of a machine that has joined are renewed by the cluster, for the same users, when most of their time
// is over. Upstream's signer says that a certificate of a minute is valid since five: that is soon.
func TestJoinRenewed(t *testing.T) {
	t.Parallel()
	all := newMembers(t, 2)
	a, b := all[0], all[1]
	a.start("run", "--advertise", "--controller-manager.cluster-signing-duration=1m")
	b.start(a.invite()...)
	roots, err := certutil.NewPool(filepath.Join(b.dataDir(), "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(server string) *x509.Certificate {
		t.Helper()
		certs, err := certutil.CertsFromFile(filepath.Join(b.dataDir(), "kubeconfig", server+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		return certs[0]
	}
	for server, user := range map[string]string{"proxy": "system:kube-proxy", "executor": "km:executor"} {
		first := certificate(server)
		var next *x509.Certificate
		eventually(t, "another certificate of "+server, func() bool {
			next = certificate(server)
			return next.SerialNumber.Cmp(first.SerialNumber) != 0
		})
		if _, err := next.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", server, err)
		}
		if next.Subject.CommonName != user || first.Subject.CommonName != user || bytes.Equal(next.RawSubjectPublicKeyInfo, first.RawSubjectPublicKeyInfo) {
			t.Errorf("%s: it is of %s now, and was of %s", server, next.Subject, first.Subject)
		}
	}
}
