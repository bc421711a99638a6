package e2e

import (
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

	"k8s.io/client-go/rest"
)

// Where the API server takes its time, as on a busy machine, the leases of many nodes are renewed at the same time,
// and not one after the other until some are lost: it does not answer here before it has been asked for many.
func TestLeasesAtTheSameTime(t *testing.T) {
	const nodes, together = 40, 20
	h := newHome(t)
	p := h.run(t, "apiserver")
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
	var mu sync.Mutex
	asked, enough, over := 0, make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		proxy.ServeHTTP(w, r)
	}))
	kubeconfig := filepath.Join(string(h), "slow.conf")
	writeFile(t, kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: slow, cluster: {server: %q}}]
contexts: [{name: slow, context: {cluster: slow, user: nobody}}]
users: [{name: nobody, user: {}}]
current-context: slow
`, slow.URL))
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
		t.Errorf("only %d leases are renewed at the same time, want %d", asked, together)
		mu.Unlock()
	}
	close(over)
	for _, p := range []*process{beside, p} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
	slow.Close()
}
