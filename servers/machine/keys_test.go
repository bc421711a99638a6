package machine

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// invite makes a token, of which the cluster knows.
func invite(t *testing.T, client kubernetes.Interface, ca *authority) *invitation {
	t.Helper()
	i, err := newInvitation(cluster.ControlPlane, ca.cert)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: bootstraputil.BootstrapTokenSecretName(i.id)}}
	if _, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return i
}

// entries are the ids of the tokens for which there are keys; nil if nothing is there.
func entries(t *testing.T, client kubernetes.Interface) []string {
	t.Helper()
	all, err := client.CoreV1().Secrets(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range all.Items {
		if secret.Name == keysSecret {
			return slices.Sorted(maps.Keys(secret.Data))
		}
	}
	return nil
}

// withKeys is a plan in whose folder there is each of the keys.
func withKeys(t *testing.T, more ...string) *supervisor.Plan {
	t.Helper()
	p := planOf(t, nil)
	for _, name := range append(more, sharedKeys...) {
		put(t, p, name, []byte("this is "+name))
	}
	return p
}

// Keys arrive as they were, on a machine with the token for which they were put there, and on no other one.
func TestKeys(t *testing.T) {
	ca := newAuthority(t)
	for _, more := range [][]string{nil, moreKeys} {
		client := fake.NewClientset()
		from := withKeys(t, more...)
		put(t, from, "apiserver.key", []byte("nobody else's"))
		i, other := invite(t, client, ca), invite(t, client, ca)
		if err := upload(t.Context(), client, from, i); err != nil {
			t.Fatal(err)
		}
		files, err := download(t.Context(), client, i)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(slices.Concat(sharedKeys, more)))
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("they are %q, want %q", got, want)
		}
		to := planOf(t, nil)
		if err := writeKeys(to, files); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			file := cluster.PKIPath(to, name)
			if got := string(read(t, file)); got != "this is "+name {
				t.Errorf("%s is %q", name, got)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
			}
		}
		if info, err := os.Stat(to.Path("pki")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the folder: mode %v, %v", info.Mode(), err)
		}
		if _, err := download(t.Context(), client, other); err == nil || !strings.Contains(err.Error(), "there are no keys for the token") {
			t.Errorf("without an entry: %v", err)
		}
		wrong := *i
		wrong.key = slices.Clone(other.key)
		if _, err := download(t.Context(), client, &wrong); err == nil || !strings.Contains(err.Error(), "cannot be decrypted with the token") {
			t.Errorf("with another key: %v", err)
		}
		secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(t.Context(), keysSecret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if text := string(secret.Data[i.id]); strings.Contains(text, "this is") || strings.Contains(text, string(i.key)) {
			t.Error("it can be read without the token")
		}
	}
}

// A control plane that lacks one of the keys can invite none.
func TestKeysMissing(t *testing.T) {
	client, ca := fake.NewClientset(), newAuthority(t)
	i := invite(t, client, ca)
	if _, err := download(t.Context(), client, i); err == nil || !strings.Contains(err.Error(), "there are no keys for the token") {
		t.Errorf("without a Secret: %v", err)
	}
	for _, name := range sharedKeys {
		p := withKeys(t)
		if err := os.Remove(cluster.PKIPath(p, name)); err != nil {
			t.Fatal(err)
		}
		if err := upload(t.Context(), client, p, i); err == nil || !strings.Contains(err.Error(), filepath.Base(name)) {
			t.Errorf("without %s: %v", name, err)
		}
		put(t, p, name, nil)
		if err := upload(t.Context(), client, p, i); err != nil {
			t.Fatal(err)
		}
		if _, err := download(t.Context(), client, i); err == nil || !strings.HasSuffix(err.Error(), "lack "+name) {
			t.Errorf("with an empty %s: %v", name, err)
		}
		if err := forgetKeys(t.Context(), client, i.id); err != nil {
			t.Fatal(err)
		}
	}
}

// Keys are there no longer than their tokens, whether these were deleted by km or not.
func TestKeysForgotten(t *testing.T) {
	client, p, ca := fake.NewClientset(), withKeys(t), newAuthority(t)
	if err := forgetKeys(t.Context(), client, "abcdef"); err != nil {
		t.Error(err)
	}
	if got := entries(t, client); got != nil {
		t.Errorf("to forget nothing makes %q", got)
	}
	var ids []string
	add := func() string {
		i := invite(t, client, ca)
		if err := upload(t.Context(), client, p, i); err != nil {
			t.Fatal(err)
		}
		return i.id
	}
	for range 3 {
		ids = append(ids, add())
	}
	if got := entries(t, client); !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
		t.Errorf("%q, want %q", got, ids)
	}
	// one has expired
	if err := client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(t.Context(), bootstraputil.BootstrapTokenSecretName(ids[0]), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ids = append(ids[1:], add())
	if got := entries(t, client); !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
		t.Errorf("%q, want %q", got, ids)
	}
	for len(ids) > 0 {
		if err := forgetKeys(t.Context(), client, ids[0]); err != nil {
			t.Fatal(err)
		}
		ids = ids[1:]
		if got := entries(t, client); !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
			t.Errorf("%q, want %q", got, ids)
		}
	}
}

// The authority's certificate is written last: a machine that was stopped before has not got the keys, and asks again.
func TestAuthorityComesLast(t *testing.T) {
	for _, name := range slices.Concat(sharedKeys, moreKeys) {
		if name == "ca.crt" {
			continue
		}
		p, files := planOf(t, nil), map[string][]byte{}
		for _, name := range slices.Concat(sharedKeys, moreKeys) {
			files[name] = []byte(name)
		}
		if err := os.MkdirAll(filepath.Join(cluster.PKIPath(p, name), "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeKeys(p, files); err == nil {
			t.Errorf("%s cannot be written, and nobody says so", name)
		}
		if _, err := os.Stat(cluster.PKIPath(p, "ca.crt")); err == nil {
			t.Errorf("ca.crt is there without %s", name)
		}
	}
}
