package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	cryptoutil "k8s.io/kubernetes/cmd/kubeadm/app/util/crypto"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// keysSecret is the Secret in kube-system in which the keys that control planes share travel to one that joins: an
// entry for each token, encrypted with the key in it, as kubeadm does (cmd/kubeadm/app/phases/copycerts).
const keysSecret = "km-keys"

// sharedKeys are the files in pki/ that all control planes have. The second half need not be there: keys for Secrets
// are those of a hardened cluster.
var (
	sharedKeys = []string{
		"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub", "etcd/ca.crt", "etcd/ca.key",
	}
	moreKeys = []string{"encryption.yaml"}
)

// upload puts the keys into the Secret, for the token.
func upload(ctx context.Context, client kubernetes.Interface, p *supervisor.Plan, i *invitation) error {
	files := map[string][]byte{}
	for _, name := range slices.Concat(sharedKeys, moreKeys) {
		text, err := os.ReadFile(cluster.PKIPath(p, name))
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(moreKeys, name) {
			continue
		}
		if err != nil {
			return fmt.Errorf("a control plane needs the keys of this one: %w", err)
		}
		files[name] = text
	}
	text, err := json.Marshal(files)
	if err != nil {
		return err
	}
	sealed, err := cryptoutil.EncryptBytes(text, i.key)
	if err != nil {
		return err
	}
	return changeKeys(ctx, client, func(entries map[string][]byte) { entries[i.id] = sealed })
}

// forgetKeys takes out what is there for a token.
func forgetKeys(ctx context.Context, client kubernetes.Interface, id string) error {
	return changeKeys(ctx, client, func(entries map[string][]byte) { delete(entries, id) })
}

// changeKeys changes the Secret's entries, and drops those of tokens that are gone.
func changeKeys(ctx context.Context, client kubernetes.Interface, change func(entries map[string][]byte)) error {
	secrets := client.CoreV1().Secrets(metav1.NamespaceSystem)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, err := secrets.Get(ctx, keysSecret, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if missing {
			secret, err = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: keysSecret}}, nil
		}
		if err != nil {
			return err
		}
		before := maps.Clone(secret.Data)
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for id := range before {
			_, err := secrets.Get(ctx, bootstraputil.BootstrapTokenSecretName(id), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				delete(secret.Data, id)
			}
		}
		change(secret.Data)
		switch {
		case missing && len(secret.Data) == 0, maps.EqualFunc(before, secret.Data, slices.Equal):
			return nil
		case missing:
			_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		default:
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		}
		return err
	})
}

// download returns the keys for a token.
func download(ctx context.Context, client kubernetes.Interface, i *invitation) (map[string][]byte, error) {
	secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, keysSecret, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err != nil || secret.Data[i.id] == nil {
		return nil, fmt.Errorf("there are no keys for the token: make a new one with `%s` there", cluster.Elsewhere("token", "create", "--"+cluster.RoleFlag+"="+cluster.ControlPlane))
	}
	text, err := cryptoutil.DecryptBytes(secret.Data[i.id], i.key)
	if err != nil {
		return nil, errors.New("the keys cannot be decrypted with the token: its last part is not as it was printed")
	}
	files := map[string][]byte{}
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, err
	}
	for _, name := range sharedKeys {
		if len(files[name]) == 0 {
			return nil, fmt.Errorf("the keys for the token lack %s", name)
		}
	}
	return files, nil
}

// writeKeys writes them. The authority's certificate comes last: without it none is there.
func writeKeys(p *supervisor.Plan, files map[string][]byte) error {
	for _, name := range slices.Backward(slices.Concat(sharedKeys, moreKeys)) {
		if files[name] == nil {
			continue
		}
		if err := cluster.Write(cluster.PKIPath(p, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}
