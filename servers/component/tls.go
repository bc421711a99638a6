package component

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor"
)

// cipherSuites are Go's suites for TLS 1.2 without those that have no AEAD, which are open to attacks on their padding
// (Lucky Thirteen). They are those that the CIS Kubernetes benchmark lists. Which of TLS 1.3 are used, nobody can
// choose.
func cipherSuites() []*tls.CipherSuite {
	return slices.DeleteFunc(tls.CipherSuites(), func(suite *tls.CipherSuite) bool {
		return !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || strings.Contains(suite.Name, "_CBC_")
	})
}

// CipherSuites are the names of the suites for TLS 1.2 that servers accept, unless a user names others.
func CipherSuites() []string {
	var names []string
	for _, suite := range cipherSuites() {
		names = append(names, suite.Name)
	}
	return names
}

// CipherSuiteIDs are what CipherSuites are in a [tls.Config].
func CipherSuiteIDs() []uint16 {
	var ids []uint16
	for _, suite := range cipherSuites() {
		ids = append(ids, suite.ID)
	}
	return ids
}

// DefaultCipherSuites has a server with upstream's flags for TLS, some of which have the given names, accept
// CipherSuites, unless it accepts nothing below TLS 1.3: then upstream takes none.
func DefaultCipherSuites(s *supervisor.Server, suitesFlag, minVersionFlag string) error {
	if strings.HasSuffix(strings.ReplaceAll(s.Value(minVersionFlag), ".", ""), "TLS13") {
		return nil
	}
	return s.Default(suitesFlag, strings.Join(CipherSuites(), ","))
}
