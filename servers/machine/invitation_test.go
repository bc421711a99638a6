package machine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/servers/cluster"
)

// What is printed is what is read.
func TestInvitation(t *testing.T) {
	ca := newAuthority(t)
	for _, role := range []string{cluster.RoleNode, cluster.ControlPlane} {
		i, err := newInvitation(role, ca.cert)
		if err != nil {
			t.Fatal(err)
		}
		if i.role() != role || i.caHash != hashOf(ca.cert) || len(i.secret) != 16 {
			t.Errorf("%s: %+v", role, i)
		}
		got, err := parseInvitation(" " + i.String() + "\n") // as it is pasted
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(i, got, cmp.AllowUnexported(invitation{})); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
		other, err := newInvitation(role, ca.cert)
		if err != nil {
			t.Fatal(err)
		}
		if other.id == i.id || other.secret == i.secret || role == cluster.ControlPlane && string(other.key) == string(i.key) {
			t.Errorf("%s: two of them have something secret in common", role)
		}
	}
}

// A token that is no token is refused, and not shown: it may be one, with a character too many.
func TestInvitationMalformed(t *testing.T) {
	const id, secret = "abcdef", "0123456789abcdef"
	hash, key := strings.Repeat("1a", 32), strings.Repeat("2b", keySize)
	for _, test := range []struct{ name, token, want string }{
		{"nothing", "", "it is not a token"},
		{"kubeadm's", id + "." + secret, "it is not a token"},
		{"a part too many", id + "." + secret + "." + hash + "." + key + ".", "it is not a token"},
		{"the id too short", "abcde." + secret + "." + hash, "it is not a token"},
		{"upper case", "ABCDEF." + secret + "." + hash, "it is not a token"},
		{"the secret too short", id + ".0123456789abcde." + hash, "it is not a token"},
		{"the hash cut off", id + "." + secret + "." + hash[:62], "its third part"},
		{"the hash too long", id + "." + secret + "." + hash + "1a", "its third part"},
		{"no hash", id + "." + secret + ".." + key, "its third part"},
		{"the hash of other digits", id + "." + secret + "." + "zz" + hash[2:], "its third part"},
		{"kubeadm's hash", id + "." + secret + ".sha256:" + hash, "its third part"},
		{"no key", id + "." + secret + "." + hash + ".", "its fourth part"},
		{"the key cut off", id + "." + secret + "." + hash + "." + key[:62], "its fourth part"},
		{"the key of other digits", id + "." + secret + "." + hash + ".zz" + key[2:], "its fourth part"},
	} {
		_, err := parseInvitation(test.token)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
			continue
		}
		for part := range strings.SplitSeq(test.token, ".") {
			if len(part) > 4 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows %q: %v", test.name, part, err)
			}
		}
	}
}
