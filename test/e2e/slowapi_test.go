package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// slowAPI has a proxy in front of the home's cluster, and handle in front of that. It returns the kubeconfig for it.
func (h home) slowAPI(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) (kubeconfig string) {
	t.Helper()
	config := h.config(t, "km")
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = transport
	proxy.FlushInterval = -1 // a watch goes on
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, proxy) }))
	t.Cleanup(slow.Close)
	return writeFile(t, filepath.Join(h.dir, "slow.conf"), fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: slow, cluster: {server: %q}}]
contexts: [{name: slow, context: {cluster: slow, user: nobody}}]
users: [{name: nobody, user: {}}]
current-context: slow
`, slow.URL))
}

// The pods of a node run, also if the node's lease is late: nobody looks at them again when it is there.
func TestPodsBeforeTheLease(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "apiserver")
	h.must(t, "kubectl", "create", "serviceaccount", "default")
	h.apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: early}
spec: {nodeName: node-1, containers: [{name: main, image: example.invalid/main}]}
`)
	running := make(chan struct{})
	kubeconfig := h.slowAPI(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/leases") {
			select {
			case <-running:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	other := newHome(t)
	beside := other.run(t, "executor", "--executor.kubeconfig="+kubeconfig)
	h.until(t, "pod/early", "{.status.phase}", "Running")
	close(running)
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
	poll(t, "the lease", func(ctx context.Context) (bool, error) {
		_, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, "node-1", metav1.GetOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	})
	for _, p := range []*process{beside, p} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}

// Where the API server takes its time, as on a busy machine, the leases of many nodes are renewed at the same time,
// and not one after the other until some are lost: it does not answer here before it has been asked for many.
func TestLeasesAtTheSameTime(t *testing.T) {
	t.Parallel()
	const nodes, together = 40, 20
	h := newHome(t)
	p := h.run(t, "apiserver")
	var mu sync.Mutex
	asked, enough, over := 0, make(chan struct{}), make(chan struct{})
	defer close(over)
	kubeconfig := h.slowAPI(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/namespaces/kube-node-lease/leases") {
			mu.Lock()
			if asked++; asked == together {
				close(enough)
			}
			mu.Unlock()
			select {
			case <-enough:
			case <-over:
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
	other := newHome(t)
	beside := other.start(t, binary, "run", "executor", "--free-ports",
		"--executor.kubeconfig="+kubeconfig, fmt.Sprint("--executor.nodes=", nodes))
	select {
	case <-enough:
		beside.waitReady()
	case <-beside.done:
		t.Error("the executor has ended")
	case <-time.After(patience):
		mu.Lock()
		n := asked
		mu.Unlock()
		hang(t, fmt.Sprintf("%d leases are renewed at the same time, where %d are", together, n))
	}
	for _, p := range []*process{beside, p} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}
