package apiserver

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	peerreconcilers "k8s.io/apiserver/pkg/reconcilers"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"

	"github.com/seed-200a7251/km/supervisor/errno"
)

// abandonable ends what waits for etcd when it is abandoned, and what would wait later. Upstream waits at a stop for
// requests in flight, up to a minute, and for hooks that have requests of their own, or ask etcd: one that is gone
// answers none of them.
type abandonable struct {
	ctx     context.Context
	abandon context.CancelFunc
}

func newAbandonable() *abandonable {
	a := &abandonable{}
	a.ctx, a.abandon = context.WithCancel(context.Background())
	return a
}

var errAbandoned = errors.New("etcd does not answer, and the server ends")

// wrap has the requests of a server end with it.
func (a *abandonable) wrap(build handlerChain) handlerChain {
	return func(api http.Handler, c *genericapiserver.Config) http.Handler {
		next := build(api, c)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(a.ctx, cancel)()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// do calls f, which asks etcd and cannot be interrupted, and waits for its end.
func (a *abandonable) do(f func() error) error {
	if a.ctx.Err() != nil {
		return errAbandoned
	}
	return a.begin(f)
}

// begin is do for what has to be done in any case: only the end is not waited for any more.
func (a *abandonable) begin(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-a.ctx.Done():
		return errAbandoned
	}
}

// peerLeases are upstream's leases of API servers that know of each other, whose controller waits for them at a stop.
type peerLeases struct {
	peerreconcilers.PeerEndpointLeaseReconciler
	requests *abandonable
}

func (p *peerLeases) UpdateLease(id, ip string, ports []corev1.EndpointPort) error {
	return p.requests.do(func() error { return p.PeerEndpointLeaseReconciler.UpdateLease(id, ip, ports) })
}

func (p *peerLeases) RemoveLease(id string) error {
	return p.requests.do(func() error { return p.PeerEndpointLeaseReconciler.RemoveLease(id) })
}

// endpoints are those of the Service "kubernetes", whose controller waits for them at a stop.
type endpoints struct {
	reconcilers.EndpointReconciler
	requests *abandonable
}

func (e *endpoints) ReconcileEndpoints(service string, ip net.IP, ports []corev1.EndpointPort, reconcilePorts bool) error {
	return e.requests.do(func() error { return e.EndpointReconciler.ReconcileEndpoints(service, ip, ports, reconcilePorts) })
}

// StopReconciling waits for the one that is under way.
func (e *endpoints) StopReconciling() {
	_ = e.requests.do(func() error { e.EndpointReconciler.StopReconciling(); return nil }) // there is nothing to tell
}

// Destroy waits for etcd, too (k8s.io/apiserver/pkg/storage/storagebackend/factory).
func (e *endpoints) Destroy() {
	_ = e.requests.begin(func() error { e.EndpointReconciler.Destroy(); return nil }) // there is nothing to tell
}

func (e *endpoints) RemoveEndpoints(service string, ip net.IP, ports []corev1.EndpointPort) error {
	return e.requests.do(func() error { return e.EndpointReconciler.RemoveEndpoints(service, ip, ports) })
}

// storePoll is how often it is asked, while the server is to end, whether etcd answers.
const storePoll = time.Second

// abandonWithoutStore abandons the requests if etcd does not answer, from the time when the server is to end until ctx
// ends. That is so if nobody listens there, or /livez/etcd, which gives it two seconds, says so twice.
func (c *chain) abandonWithoutStore(ctx context.Context, ending <-chan struct{}, client kubernetes.Interface) {
	select {
	case <-ending:
	case <-ctx.Done():
		return
	}
	for silent := 0; ctx.Err() == nil; {
		err := unreachable(c.stores)
		if err == nil {
			if err = client.Discovery().RESTClient().Get().AbsPath("/livez/etcd").Do(ctx).Error(); err == nil {
				silent = 0
			} else if silent++; silent < 2 {
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("etcd does not answer: what waits for it is ended", "error", err)
			c.requests.abandon()
			return
		}
		select {
		case <-time.After(storePoll):
		case <-ctx.Done():
		}
	}
}

// unreachable returns why nobody listens at any of the addresses, or nil if somebody does, or that is not known.
func unreachable(addresses []string) (why error) {
	for _, address := range addresses {
		network, where := "unix", strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(address, "unixs:"), "unix:"), "//")
		if u, err := url.Parse(address); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			network, where = "tcp", u.Host
		}
		conn, err := net.DialTimeout(network, where, storePoll)
		if err == nil {
			_ = conn.Close()
		}
		if !errno.Refused(err) && !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		why = err
	}
	return why
}
