package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// bump is by how much the revision of a restored cluster is higher at least; no cluster of a test writes that much.
const bump = 1_000_000_000

// writer creates one ConfigMap after the other, as long as it is not ended, and notes the revision of each that was
// acknowledged.
type writer struct {
	end   func()
	mu    sync.Mutex
	wrote map[string]int64 // revisions
}

func newWriter(t *testing.T, client kubernetes.Interface, prefix string) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{wrote: map[string]int64{}}
	var writing sync.WaitGroup
	done := make(chan struct{})
	w.end = func() {
		t.Helper()
		cancel()
		await(t, "the end of writing", done)
	}
	t.Cleanup(w.end)
	for n := range 4 {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, n, i)
				one, cancel := context.WithTimeout(ctx, 10*time.Second)
				made, err := client.CoreV1().ConfigMaps("default").Create(one, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
				cancel()
				if err != nil { // the apiserver is away, and is left time to come back
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
					continue
				}
				w.mu.Lock()
				w.wrote[name] = revision(t, made)
				w.mu.Unlock()
			}
		})
	}
	go func() {
		writing.Wait()
		close(done)
	}()
	return w
}

func revision(t *testing.T, object metav1.Object) int64 {
	t.Helper()
	n, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

// more waits until so many more have been written.
func (w *writer) more(t *testing.T, n int) {
	t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.wrote) }
	before := count()
	eventually(t, "writing", func() bool { return count() >= before+n })
}

var savedRevision = regexp.MustCompile(`: revision (\d+), \d+ keys, [\d.]+ [kMG]?B\n$`)

// save saves a snapshot, and returns its revision.
func (h home) save(t *testing.T, file string) int64 {
	t.Helper()
	out := h.must(t, "snapshot", "save", file)
	m := savedRevision.FindStringSubmatch(out)
	if m == nil || !strings.HasPrefix(out, file) {
		t.Fatalf("km snapshot save says %q", out)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h home) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	return kubernetes.NewForConfigOrDie(h.config(t, "km"))
}

func configMaps(t *testing.T, client kubernetes.Interface) map[string]int64 {
	t.Helper()
	var all *corev1.ConfigMapList
	err := patiently(t, "the list of ConfigMaps", func(ctx context.Context) (err error) {
		all, err = client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int64{}
	for _, one := range all.Items {
		there[one.Name] = revision(t, &one)
	}
	return there
}

// check checks that of what was written, all up to the revision of the snapshot is there, and nothing above, unless it
// was written after the restore.
func (w *writer) check(t *testing.T, there map[string]int64, saved int64, wroteAfter bool) {
	t.Helper()
	kept, gone := 0, 0
	for name, revision := range w.wrote {
		_, ok := there[name]
		want := revision <= saved || wroteAfter && revision > bump
		switch {
		case want && !ok:
			t.Errorf("%s was acknowledged with revision %d, and is not there", name, revision)
		case !want && ok:
			t.Errorf("%s has revision %d, and is there", name, revision)
		case ok:
			kept++
		default:
			gone++
		}
	}
	t.Logf("the snapshot is of revision %d: %d of %d objects are there", saved, kept, kept+gone)
	if kept < 50 || gone < 50 {
		t.Errorf("%d are there, and %d are not: this shows nothing", kept, gone)
	}
}

// same waits until an informer has the objects that are there. They are asked for each time: a write that its client
// has given up may still be done by the API server.
func same(t *testing.T, watched corelisters.ConfigMapLister, client kubernetes.Interface) {
	t.Helper()
	eventually(t, "the informer's objects are those that are there", func() bool {
		there, seen := configMaps(t, client), map[string]int64{}
		all, err := watched.List(labels.Everything())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			seen[one.Name] = revision(t, one)
		}
		return maps.Equal(seen, there)
	})
}

// A snapshot that is taken while clients write has all that was acknowledged before, and a restore of it nothing else,
// whether km runs meanwhile or not. Who watches sees it.
func TestSnapshotOfRun(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--etcd.isolation=process")
	client := h.client(t)
	file := filepath.Join(t.TempDir(), "snapshot.db")

	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	watched := factory.Core().V1().ConfigMaps().Lister()
	synced := factory.Core().V1().ConfigMaps().Informer().HasSynced
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)

	w := newWriter(t, client, "written")
	w.more(t, 100)
	saved := h.save(t, file)
	w.more(t, 100)
	eventually(t, "the informer has started", synced)
	out := h.must(t, "snapshot", "restore", file, "--yes")
	if !strings.Contains(out, "ready again: etcd, apiserver, controller-manager, scheduler, executor, proxy\n") {
		t.Errorf("km snapshot restore says %q", out)
	}
	w.more(t, 10)
	w.end()
	w.check(t, configMaps(t, client), saved, true)
	same(t, watched, client)
	// The same once more: what was written after the first restore is gone, and who watches sees that, too.
	again := newWriter(t, client, "again")
	again.more(t, 60)
	again.end()
	same(t, watched, client)
	h.must(t, "snapshot", "restore", file, "--yes")
	w.check(t, configMaps(t, client), saved, false)
	same(t, watched, client)
	// Controllers, scheduler and nodes go on.
	h.must(t, "kubectl", "create", "deployment", "web", "--image=example.invalid/web")
	h.must(t, "kubectl", "rollout", "status", "deployment/web", patient)

	// The same file while km does not run. What was there before is kept each time.
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if r := h.km(t, "snapshot", "restore", file); r.code != 1 || !strings.Contains(r.stderr, "nothing was restored, as there is no terminal on which to ask") {
		t.Errorf("without --yes: %+v", r)
	}
	out = h.must(t, "snapshot", "restore", file, "--yes")
	kept := regexp.MustCompile(`is in (\S+): remove it`).FindStringSubmatch(out)
	if kept == nil {
		t.Fatalf("km snapshot restore says %q", out)
	}
	if _, err := os.Stat(filepath.Join(kept[1], "member", "snap", "db")); err != nil {
		t.Error(err)
	}
	p = h.run(t)
	w.check(t, configMaps(t, h.client(t)), saved, false)
	p.stop(syscall.SIGTERM)
}

// After a kill, in the middle of writing, a snapshot has what was acknowledged last. It can be restored into another
// home.
func TestSnapshotAfterKill(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "apiserver")
	w := newWriter(t, h.client(t), "written")
	w.more(t, 100)
	p.stop(syscall.SIGKILL)
	w.end()
	file := filepath.Join(t.TempDir(), "snapshot.db")
	saved := h.save(t, file)
	for name, revision := range w.wrote {
		if revision > saved {
			t.Errorf("%s was acknowledged with revision %d, and the snapshot is of %d", name, revision, saved)
		}
	}
	// It has changed nothing: what is written afterwards is not in the snapshot.
	p = h.run(t, "apiserver")
	later := newWriter(t, h.client(t), "later")
	later.more(t, 50)
	later.end()
	p.stop(syscall.SIGTERM)
	maps.Copy(w.wrote, later.wrote)

	for name, to := range map[string]home{"itself": h, "another home": newHome(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to.must(t, "snapshot", "restore", file, "--yes")
			p := to.run(t, "apiserver")
			defer p.stop(syscall.SIGTERM)
			client := to.client(t)
			w.check(t, configMaps(t, client), saved, false)
			var made *corev1.ConfigMap
			err := patiently(t, "a write", func(ctx context.Context) (err error) {
				made, err = client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "next"}}, metav1.CreateOptions{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := revision(t, made); n <= saved+bump {
				t.Errorf("the next revision is %d, and must be above all that clients have seen", n)
			}
		})
	}
}

// etcdHome is a home in which etcd alone runs, now and then.
type etcdHome struct{ home }

func (h etcdHome) etcd(t *testing.T, args ...string) *process {
	t.Helper()
	return h.run(t, append([]string{"etcd"}, args...)...)
}

func (h etcdHome) clientConfig() clientv3.Config {
	return clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(h.dataDir("km"), "etcd.sock")}}
}

// with calls f with a client of the etcd that runs.
func (h etcdHome) with(t *testing.T, f func(ctx context.Context, c *clientv3.Client) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := clientv3.New(h.clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	switch err := f(ctx, c); {
	case ctx.Err() != nil:
		hang(t, "an answer of etcd")
	case err != nil:
		t.Fatal(err)
	}
}

func (h etcdHome) put(t *testing.T, value string) {
	t.Helper()
	h.with(t, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Put(ctx, "key", value)
		return err
	})
}

func (h etcdHome) get(t *testing.T) (value string) {
	t.Helper()
	h.with(t, func(ctx context.Context, c *clientv3.Client) error {
		answer, err := c.Get(ctx, "key")
		if err != nil {
			return err
		}
		for _, kv := range answer.Kvs {
			value = string(kv.Value)
		}
		return nil
	})
	return value
}

// newEtcdHome returns a home that is short enough for a socket, whose etcd has the last of the values, and a snapshot
// with each.
func newEtcdHome(t *testing.T, values ...string) (etcdHome, map[string]string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "km")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	// Nothing is to be left among temporary files, even by who is killed.
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { empty(t, tmp) })
	h := etcdHome{homeIn(t, dir)}
	h.tmp = tmp
	files := map[string]string{}
	p := h.etcd(t)
	for _, value := range values {
		h.put(t, value)
		files[value] = filepath.Join(dir, value+".db")
		h.save(t, files[value])
	}
	p.stop(syscall.SIGTERM)
	return h, files
}

// value is what the etcd of the home has, which is started for it.
func (h etcdHome) value(t *testing.T) string {
	t.Helper()
	p := h.etcd(t)
	defer p.stop(syscall.SIGTERM)
	return h.get(t)
}

// The file is one of etcd's: etcd's own programs read it, and km reads theirs.
func TestSnapshotIsEtcds(t *testing.T) {
	t.Parallel()
	h, files := newEtcdHome(t, "one")
	m := etcdutl.NewV3(zap.NewNop())
	status, err := m.Status(files["one"])
	if err != nil || status.TotalKey < 1 || status.Revision < 2 {
		t.Errorf("%+v (%v)", status, err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	err = m.Restore(etcdutl.RestoreConfig{SnapshotPath: files["one"], Name: "x", OutputDataDir: dir, PeerURLs: []string{"http://localhost:2380"},
		InitialCluster: "x=http://localhost:2380", InitialClusterToken: "x"})
	if err != nil {
		t.Error(err)
	}

	p := h.etcd(t)
	theirs := filepath.Join(h.dir, "theirs.db")
	h.with(t, func(ctx context.Context, _ *clientv3.Client) error {
		_, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), h.clientConfig(), theirs)
		return err
	})
	h.put(t, "two")
	p.stop(syscall.SIGTERM)
	h.must(t, "snapshot", "restore", theirs, "-y")
	if got := h.value(t); got != "one" {
		t.Errorf("restored from etcdctl's: %q", got)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v (%v)", info.Mode(), err)
		}
	}
}
