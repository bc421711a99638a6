package controllermanager

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/utils/ptr"
)

// releaseTime is how long it may take at a stop.
const releaseTime = 2 * time.Second

// release gives the lease of the leader back, if this machine holds it: its controllers have ended, and those of
// another machine, or of the next start, would wait for as long as it lasts. Upstream does so behind a feature gate
// that is alpha (ControllerManagerReleaseLeaderElectionLockOnExit). The holder is the host's name and something random
// (k8s.io/kubernetes/cmd/kube-controller-manager/app.Run).
func release(ctx context.Context, config *rest.Config, election componentbaseconfig.LeaderElectionConfiguration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	leases := client.CoordinationV1().Leases(election.ResourceNamespace)
	lease, err := leases.Get(ctx, election.ResourceName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the lease of the leader cannot be given back: %w", err)
	}
	if !strings.HasPrefix(ptr.Deref(lease.Spec.HolderIdentity, ""), host+"_") {
		return nil
	}
	lease.Spec.HolderIdentity = ptr.To("")
	lease.Spec.LeaseDurationSeconds = ptr.To[int32](1)
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("the lease of the leader cannot be given back: %w", err)
	}
	return nil
}
