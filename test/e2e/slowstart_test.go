package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// holdback is a proxy in front of an etcd that lets nothing through on a connection on which somebody asks for certain
// keys, as long as it is told so: for who asks, etcd is slow.
type holdback struct {
	keys []byte
	mu   sync.Mutex
	open chan struct{} // closed when all goes through
	held chan struct{} // gets something when something is held back
}

// newHoldback returns one that holds keys back, and its address.
func newHoldback(t *testing.T, etcd, keys string) (*holdback, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holdback{keys: []byte(keys), open: make(chan struct{}), held: make(chan struct{}, 1)}
	t.Cleanup(func() { l.Close(); h.release() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", etcd)
			if err != nil {
				client.Close()
				return
			}
			go func() {
				defer server.Close()
				h.pass(server, client)
			}()
			go func() {
				defer client.Close()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return h, l.Addr().String()
}

// pass copies until one of the two is closed. What is looked for may come in two parts.
func (h *holdback) pass(to, from net.Conn) {
	var last []byte
	part := make([]byte, 32<<10)
	for {
		n, err := from.Read(part)
		if err != nil {
			return
		}
		seen := append(last, part[:n]...)
		h.mu.Lock()
		open := h.open
		h.mu.Unlock()
		if bytes.Contains(seen, h.keys) {
			select {
			case h.held <- struct{}{}:
			default:
			}
			<-open
		}
		if _, err := to.Write(part[:n]); err != nil {
			return
		}
		last = append([]byte(nil), seen[max(0, len(seen)-len(h.keys)):]...)
	}
}

// release lets all go through.
func (h *holdback) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.open:
	default:
		close(h.open)
	}
}

// hold has it hold back again.
func (h *holdback) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = make(chan struct{})
	select {
	case <-h.held: // of before
	default:
	}
}

// awaitHeld waits until something is held back.
func (h *holdback) awaitHeld(t *testing.T) {
	t.Helper()
	await(t, "a request for what is to be held back", h.held)
}

// However long the apiserver's start takes, nobody is told that he may not do what he may: a request waits, or is to be
// sent again. And a stop that comes meanwhile is one.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	_, address := h.classicEtcd(t)
	proxy, at := newHoldback(t, address, "/registry/clusterrolebindings")
	run := func() *process {
		return h.start(t, binary, "run", "apiserver", "--free-ports", "--apiserver.etcd-servers=http://"+at)
	}

	p := run()
	config := h.serving(t, p)
	proxy.awaitHeld(t)
	if code, retryAfter := firstAnswer(t, config); code != http.StatusServiceUnavailable || retryAfter == "" {
		t.Errorf("before roles are known the admin is answered %d, to try again after %q s; want 503 and a time", code, retryAfter)
	}
	made := make(chan error, 1)
	go func() { // waits, and is sent again by client-go
		_, err := kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().
			Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "made-at-last"}}, metav1.CreateOptions{})
		made <- err
	}()
	proxy.release()
	if err := await(t, "a namespace that is made at last", made); err != nil {
		t.Errorf("the admin may not make a namespace: %v", err)
	}
	p.waitReady()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}

	proxy.hold()
	p = run()
	h.serving(t, p)
	proxy.awaitHeld(t)
	// A start has 10 s before a stop interrupts it (servers/apiserver, startTime).
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("stopped while it starts, it ends with exit code %d, want 0", code)
	}
}

// serving is the configuration of the admin's client, as soon as an apiserver answers that is not ready.
func (h home) serving(t *testing.T, p *process) *rest.Config {
	t.Helper()
	var config *rest.Config
	eventually(t, "an apiserver that answers", func() bool {
		select {
		case <-p.done:
			t.Fatal("it has ended")
		default:
		}
		if _, err := os.Stat(filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")); err != nil {
			return false
		}
		config = h.config(t, "km") // it may be that of a run before
		transport, err := rest.TransportFor(config)
		if err != nil {
			t.Fatal(err)
		}
		return patiently(t, "an answer", func(ctx context.Context) error {
			r, err := transport.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/livez", nil))
			if err != nil {
				return err
			}
			return r.Body.Close()
		}) == nil
	})
	return config
}

// firstAnswer is what the admin who makes a namespace is answered first, and after how many seconds he is to try again.
func firstAnswer(t *testing.T, config *rest.Config) (code int, retryAfter string) {
	t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	var answer *http.Response
	var text []byte
	err = patiently(t, "the first answer", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Host+"/api/v1/namespaces", strings.NewReader(`{"metadata":{"name":"made-early"}}`))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		if answer, err = transport.RoundTrip(request); err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err = io.ReadAll(answer.Body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the first answer is %s: %s", answer.Status, text)
	return answer.StatusCode, answer.Header.Get("Retry-After")
}
