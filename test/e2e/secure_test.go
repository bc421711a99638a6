package e2e

import (
	"context"
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// /flagz shows flags as they are, also those that km has set.
func testFlagz(t *testing.T, client kubernetes.Interface) {
	text, err := client.Discovery().RESTClient().Get().AbsPath("/flagz").SetHeader("Accept", "text/plain").DoRaw(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// What is between a name and a value is another character each time: nobody is to parse it.
	if !regexp.MustCompile(`(?m)^authorization-mode\b.*Node.*RBAC`).Match(text) {
		t.Errorf("/flagz:\n%s", text)
	}
}

// Of TLS 1.2 no server takes suites that have no AEAD.
func testCipherSuites(t *testing.T, h home) {
	servers := 0
	for _, name := range []string{"apiserver", "controller-manager", "scheduler"} {
		u, err := url.Parse(h.server(t, name).Address)
		if err != nil {
			t.Fatal(err)
		}
		try := func(suites ...uint16) error {
			conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: suites})
			if err == nil {
				conn.Close()
			}
			return err
		}
		if err := try(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256); err != nil {
			t.Errorf("%s takes no suite with AEAD: %v", name, err)
		}
		if try(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA) == nil {
			t.Errorf("%s takes a suite with CBC", name)
		}
		servers++
	}
	if servers != 3 {
		t.Errorf("%d servers were asked", servers)
	}
}

// However much etcd logs, what Secrets hold is not in it; and where it would be in a log, somebody is told so.
func testSecretsInLogs(t *testing.T, h home) {
	h.must(t, "log-level", "etcd", "v=10")
	h.must(t, "kubectl", "create", "secret", "generic", "kept", "--from-literal=password=not-to-be-read")
	h.must(t, "log-level", "etcd", "info")
	path := filepath.Join(h.dataDir("km"), "logs", "etcd.log")
	var text []byte
	eventually(t, "a line about the Secret", func() (found bool) {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "/registry/secrets/default/kept")
	})
	if strings.Contains(string(text), "not-to-be-read") {
		t.Error("the Secret is in etcd's log")
	}
	r := h.km(t, "log-level", "scheduler", "v=10")
	h.must(t, "log-level", "scheduler", "info")
	if r.code != 0 || !strings.Contains(r.stderr, "Secrets") {
		t.Errorf("exit code %d, without a warning: %q", r.code, r.stderr)
	}
}
