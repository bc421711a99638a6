package cri

import (
	"context"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// dnsPoll is how often the cluster is asked again that does not answer.
const dnsPoll = time.Second

// findDNS gives pods the DNS server of the cluster that this machine has joined: the Service kube-system/kube-dns, as
// it is called in every cluster.
func (n *Node) findDNS(ctx context.Context, s *supervisor.Server) error {
	client, err := cluster.Client(s.Value("kubeconfig"))
	if err != nil {
		return err
	}
	told := false
	return wait.PollUntilContextCancel(ctx, dnsPoll, true, func(ctx context.Context) (bool, error) {
		service, err := client.CoreV1().Services(metav1.NamespaceSystem).Get(ctx, "kube-dns", metav1.GetOptions{})
		switch {
		case err == nil:
			n.defaults.ClusterDNS = service.Spec.ClusterIPs
		case apierrors.IsNotFound(err):
			s.Logger().Info("the cluster has no DNS server: pods find no Services by name, unless --executor.cluster-dns names one")
		default:
			if !told {
				s.Logger().Warn("waiting for the cluster", zap.Error(err))
				told = true
			}
			return false, nil
		}
		return true, nil
	})
}
