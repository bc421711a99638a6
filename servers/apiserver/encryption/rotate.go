package encryption

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

const (
	// taking is how long the apiserver may take to read the file, which it looks at every second (package process).
	taking = time.Minute
	// writing is how long it is tried to write one Secret, while the apiserver restarts for one.
	writing = time.Minute
	// poll is how long lies between two tries.
	poll = 250 * time.Millisecond
	// abreast is how many Secrets are written at once.
	abreast = 8
)

// rotation gives the apiserver's Secrets a new key. At each moment the file has all keys with which something is
// written: it may be broken off, and done again from the beginning.
type rotation struct {
	path    string
	command func(words ...string) string // what to type
	config  *rest.Config
	out     io.Writer
}

func newRotation(p *supervisor.Plan, config *rest.Config, out io.Writer) *rotation {
	return &rotation{path: Path(p), command: p.Command, config: config, out: out}
}

func (r *rotation) run(ctx context.Context) (err error) {
	client, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return err
	}
	lock := flock.New(r.path+".lock", flock.SetPermissions(0o600))
	before, err := load(r.path)
	switch {
	case err != nil:
		return err
	case before == nil || !before.encrypts:
		return fmt.Errorf("the Secrets of this run are not encrypted: stop it, and start it with `%s`", r.command("run", "--hardened"))
	}
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return err
	case !locked:
		return errors.New("the keys are being rotated by another process: wait for its end")
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	// another one, or the run, may just have ended
	if before, err = load(r.path); err != nil || before == nil || !before.encrypts {
		return errors.Join(err, r.changed())
	}
	// Otherwise it is not this file by which the apiserver writes, and what is done to it means nothing.
	if err := r.taken(ctx, client); err != nil {
		return err
	}

	both := &config{keys: slices.Insert(slices.Clone(before.keys), 0, newKey()), encrypts: true}
	if err := both.save(r.path); err != nil {
		return err
	}
	if err := r.taken(ctx, client); err != nil {
		return err
	}
	var count int
	for range 2 { // a write that was under way when the apiserver took the new key may have come after the first time
		if count, err = r.rewrite(ctx, client); ctx.Err() != nil {
			return r.interrupted()
		}
		if err != nil {
			return fmt.Errorf("%w\nthe keys of before are still there, and all Secrets can be read: call `%s` again when that is mended",
				err, r.command("encryption", "rotate"))
		}
	}
	now, err := load(r.path)
	if err != nil || now == nil || !now.encrypts || !slices.Equal(now.keys, both.keys) {
		return errors.Join(err, r.changed())
	}
	after := &config{keys: both.keys[:1], encrypts: true}
	if err := after.save(r.path); err != nil {
		return err
	}
	if err := r.taken(ctx, client); err != nil {
		return err
	}
	secrets := fmt.Sprintf("%d Secrets are", count)
	if count == 1 {
		secrets = "1 Secret is"
	}
	fmt.Fprintf(r.out, "%s encrypted with the new key %s; %s forgotten\n", secrets, both.keys[0].Name, named(before.keys))
	return nil
}

func (r *rotation) changed() error {
	return fmt.Errorf("%s was changed by somebody else meanwhile, perhaps by another run: call `%s` again",
		r.path, r.command("encryption", "rotate"))
}

func (r *rotation) interrupted() error {
	return fmt.Errorf("interrupted; all Secrets can be read, and some may have the old key: call `%s` again",
		r.command("encryption", "rotate"))
}

// named is a list of keys' names, as the beginning of a clause.
func named(keys []apiserverv1.Key) string {
	var names []string
	for _, key := range keys {
		names = append(names, key.Name)
	}
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// taken waits until the apiserver says that it goes by what the file says now.
func (r *rotation) taken(ctx context.Context, client kubernetes.Interface) error {
	hash, err := encryptionconfig.GetEncryptionConfigHash(r.path)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, poll, taking, true, func(ctx context.Context) (bool, error) {
		text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		last = err
		return err == nil && shows(string(text), hash), nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return r.interrupted()
	case last != nil:
		return fmt.Errorf("the apiserver does not say which keys it uses: %w", last)
	}
	return fmt.Errorf("the apiserver has not taken the keys in %s within %v; all Secrets can be read. It does not take them where it is told "+
		"otherwise (--apiserver.encryption-provider-config, --apiserver.encryption-provider-config-automatic-reload), or where the file is "+
		"wrong: `%s` shows that",
		r.path, taking, r.command("logs", names.APIServer, "--level=error"))
}

// shows reports whether the apiserver's metrics show that it goes by the configuration with that hash
// (k8s.io/apiserver/pkg/server/options/encryptionconfig/metrics).
func shows(metrics, hash string) bool {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "apiserver_encryption_config_controller_last_config_info{") && strings.Contains(line, `hash="`+hash+`"`) {
			return true
		}
	}
	return false
}

// rewrite has the apiserver write each Secret, unchanged: it does so if that is not encrypted with the key that it
// uses, and only then. It returns how many there are.
func (r *rotation) rewrite(ctx context.Context, client kubernetes.Interface) (count int, err error) {
	var mu sync.Mutex
	var refused []error
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	list := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, o)
	})
	err = list.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		secret, ok := object.(*corev1.Secret)
		if !ok {
			return fmt.Errorf("there is a %T among the Secrets", object)
		}
		count++
		g.Go(func() error {
			err := write(ctx, client, secret)
			if isRefused(err) {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, fmt.Errorf("the Secret %s/%s cannot be written: %w", secret.Namespace, secret.Name, err))
				return nil
			}
			return err
		})
		return ctx.Err()
	})
	if failed := g.Wait(); failed != nil {
		err = failed
	}
	if err != nil {
		return count, fmt.Errorf("not all Secrets could be written: %w", err)
	}
	return count, few(refused)
}

// write writes a Secret as it is now.
func write(ctx context.Context, client kubernetes.Interface, secret *corev1.Secret) error {
	secrets := client.CoreV1().Secrets(secret.Namespace)
	var last error
	err := wait.PollUntilContextTimeout(ctx, poll, writing, true, func(ctx context.Context) (bool, error) {
		for {
			_, last = secrets.Update(ctx, secret, metav1.UpdateOptions{})
			if !apierrors.IsConflict(last) {
				break
			}
			var fresh *corev1.Secret
			if fresh, last = secrets.Get(ctx, secret.Name, metav1.GetOptions{}); last != nil {
				break
			}
			if fresh.UID != secret.UID { // it is new, and written with the new key
				return true, nil
			}
			secret = fresh
		}
		switch {
		case apierrors.IsNotFound(last):
			return true, nil
		case isRefused(last):
			return false, last
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// isRefused reports whether it is of no use to try again: webhooks and the like refuse even what does not change.
func isRefused(err error) bool {
	return err != nil && (cluster.Refused(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err))
}

// few is one error for several, of which the first are enough.
func few(errs []error) error {
	const enough = 5
	if more := len(errs) - enough; more > 0 {
		errs = append(slices.Clone(errs[:enough]), fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}
