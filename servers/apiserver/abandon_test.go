package apiserver

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	peerreconcilers "k8s.io/apiserver/pkg/reconcilers"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
)

// While the server ends, requests in flight are waited for as long as etcd answers, and ended when it does not.
func TestAbandonWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &chain{log: slog.New(slog.DiscardHandler), requests: newAbandonable()}
		var mu sync.Mutex
		asked, answer := 0, http.StatusOK
		handler := c.requests.wrap(func(api http.Handler, _ *genericapiserver.Config) http.Handler { return api })(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/livez/etcd" {
					<-r.Context().Done()
					return
				}
				mu.Lock()
				defer mu.Unlock()
				asked++
				w.WriteHeader(answer)
			}), nil)
		flying := make(chan struct{})
		go func() {
			defer close(flying)
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api", nil))
		}()
		flies := func() bool {
			synctest.Wait()
			select {
			case <-flying:
				return false
			default:
				return true
			}
		}
		stopping := make(chan struct{})
		running, end := context.WithCancel(t.Context())
		defer end()
		client, err := kubernetes.NewForConfig(clientOf(&inProcess{handler: handler}))
		if err != nil {
			t.Fatal(err)
		}
		go c.abandonWithoutStore(running, stopping, client)
		if !flies() || asked != 0 {
			t.Errorf("asked %d times before the end", asked)
		}
		close(stopping)
		for range 5 {
			synctest.Wait()
			time.Sleep(storePoll)
		}
		if !flies() || asked < 5 {
			t.Errorf("asked %d times while etcd answers; in flight: %v", asked, flies())
		}
		mu.Lock()
		answer = http.StatusInternalServerError
		mu.Unlock()
		time.Sleep(2 * storePoll)
		if flies() {
			t.Error("a request is waited for that nothing will answer")
		}
		// one that comes now ends, too
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api", nil))
	})
}

// What asks etcd and cannot be interrupted is not waited for any more either.
func TestAbandonCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever)
		for _, call := range []func(hanging, *abandonable) error{
			func(h hanging, a *abandonable) error {
				return (&endpoints{h.EndpointReconciler, a}).RemoveEndpoints("", nil, nil)
			},
			func(h hanging, a *abandonable) error {
				return (&endpoints{h.EndpointReconciler, a}).ReconcileEndpoints("", nil, nil, false)
			},
			func(h hanging, a *abandonable) error { return (&peerLeases{h, a}).RemoveLease("") },
			func(h hanging, a *abandonable) error { return (&peerLeases{h, a}).UpdateLease("", "", nil) },
		} {
			a := newAbandonable()
			h := hanging{EndpointReconciler: hangingEndpoints{until: forever}, until: forever}
			returned := make(chan error, 1)
			go func() { returned <- call(h, a) }()
			synctest.Wait()
			select {
			case err := <-returned:
				t.Errorf("it has not been waited for: %v", err)
				continue
			default:
			}
			a.abandon()
			if err := <-returned; err != errAbandoned {
				t.Error(err)
			}
			if err := call(h, a); err != errAbandoned {
				t.Error(err)
			}
		}
	})
}

// hanging asks an etcd that does not answer.
type hanging struct {
	peerreconcilers.PeerEndpointLeaseReconciler
	reconcilers.EndpointReconciler
	until chan struct{}
}

func (h hanging) wait() error { <-h.until; return nil }

func (h hanging) Destroy()                                                {}
func (h hanging) StopReconciling()                                        {}
func (h hanging) RemoveLease(string) error                                { return h.wait() }
func (h hanging) UpdateLease(string, string, []corev1.EndpointPort) error { return h.wait() }

type hangingEndpoints struct {
	reconcilers.EndpointReconciler
	until chan struct{}
}

func (h hangingEndpoints) RemoveEndpoints(string, net.IP, []corev1.EndpointPort) error {
	<-h.until
	return nil
}

func (h hangingEndpoints) ReconcileEndpoints(string, net.IP, []corev1.EndpointPort, bool) error {
	<-h.until
	return nil
}

// It is known whether somebody listens where etcd is, and what is not known counts as if.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, test := range []struct {
		addresses []string
		want      bool
	}{
		{[]string{"http://" + tcp.Addr().String()}, false},
		{[]string{"https://" + gone.Addr().String()}, true},
		{[]string{"https://" + gone.Addr().String(), "http://" + tcp.Addr().String()}, false},
		{[]string{"unix://" + dir + "/nothing.sock"}, true},
		{[]string{"unix:" + dir + "/nothing.sock"}, true},
		{[]string{"unix://" + dir}, true}, // no socket
		{[]string{"http://nobody.invalid:1"}, false},
		{nil, false},
	} {
		if err := unreachable(test.addresses); (err != nil) != test.want {
			t.Errorf("%v: %v", test.addresses, err)
		}
	}
}
