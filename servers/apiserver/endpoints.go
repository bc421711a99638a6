package apiserver

import (
	"net"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
)

// noEndpoints makes no endpoints of the Service "kubernetes", as upstream's does, and says that there are none to be
// removed: upstream's says that it has removed some, and with that the server takes it that it was not stopped cleanly
// the last time, at each start (k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice).
type noEndpoints struct {
	reconcilers.EndpointReconciler
	stopped atomic.Bool
}

// StopReconciling is that of a reconcilers.EndpointReconciler.
func (n *noEndpoints) StopReconciling() { n.stopped.Store(true) }

// RemoveEndpoints is that of a reconcilers.EndpointReconciler. At a stop it is an error if there are none.
func (n *noEndpoints) RemoveEndpoints(service string, _ net.IP, _ []corev1.EndpointPort) error {
	if n.stopped.Load() {
		return nil
	}
	return storage.NewKeyNotFoundError(service, 0)
}
