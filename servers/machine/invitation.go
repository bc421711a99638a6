package machine

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	cryptoutil "k8s.io/kubernetes/cmd/kubeadm/app/util/crypto"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// invitation is what a token says: ID.SECRET.HASH, and for a control plane ID.SECRET.HASH.KEY.
type invitation struct {
	// id and secret are a bootstrap token of Kubernetes.
	id, secret string
	// caHash is that of the authority's public key, as kubeadm has it (SHA-256 of its SubjectPublicKeyInfo, in
	// hexadecimal digits): whoever answers at the address must have a certificate of that authority.
	caHash string
	// key decrypts the keys that control planes share. It is kept nowhere but in the token.
	key []byte
}

// keySize is that of AES-256, with which kubeadm encrypts what control planes share, too.
const keySize = 32

// newInvitation returns one with a secret, and for a control plane with a key.
func newInvitation(role string, authority *x509.Certificate) (*invitation, error) {
	token, err := bootstraputil.GenerateBootstrapToken()
	if err != nil {
		return nil, err
	}
	i := &invitation{caHash: hashOf(authority)}
	i.id, i.secret, _ = strings.Cut(token, ".")
	if role == cluster.ControlPlane {
		i.key, err = cryptoutil.CreateRandBytes(keySize)
	}
	return i, err
}

// parseInvitation reads a token. Its errors do not show it.
func parseInvitation(token string) (*invitation, error) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) < 3 || len(parts) > 4 || !bootstraputil.IsValidBootstrapToken(parts[0]+"."+parts[1]) {
		return nil, fmt.Errorf("it is not a token as `%s` prints it: ID.SECRET.HASH, with .KEY behind it for a control plane", cluster.Elsewhere("token", "create"))
	}
	i := &invitation{id: parts[0], secret: parts[1], caHash: parts[2]}
	if hash, err := hex.DecodeString(i.caHash); err != nil || len(hash) != sha256.Size {
		return nil, errors.New("its third part is not the hash of a certificate authority: it may have been cut off")
	}
	if len(parts) == 4 {
		var err error
		if i.key, err = hex.DecodeString(parts[3]); err != nil || len(i.key) != keySize {
			return nil, errors.New("its fourth part is not a key: it may have been cut off")
		}
	}
	return i, nil
}

// tokenOf reads the server's flag; nil if there is none.
func tokenOf(s *supervisor.Server) (*invitation, error) {
	text := s.Value(cluster.TokenFlag)
	if text == "" {
		return nil, nil
	}
	i, err := parseInvitation(text)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", cluster.TokenFlag, err)
	}
	return i, nil
}

func (i *invitation) String() string {
	text := i.bearer() + "." + i.caHash
	if i.key != nil {
		text += "." + hex.EncodeToString(i.key)
	}
	return text
}

// bearer is what the apiserver takes for a token.
func (i *invitation) bearer() string { return bootstraputil.TokenFromIDAndSecret(i.id, i.secret) }

// role is what it is for.
func (i *invitation) role() string {
	if i.key != nil {
		return cluster.ControlPlane
	}
	return cluster.RoleNode
}

// hashOf is the hash of a certificate's public key, as kubeadm has it (cmd/kubeadm/app/util/pubkeypin).
func hashOf(cert *x509.Certificate) string {
	return fmt.Sprintf("%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
}
