package machine

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/seed-200a7251/km/servers/cluster"
)

// Machines with a control plane tell of themselves by a Lease each, in kube-system, which they renew as kubelets renew
// those of nodes. What else is known of them is in its annotations.
const (
	leasePrefix    = "km-machine-"
	addressKey     = "km.machine/address"    // of the apiserver, HOST:PORT
	etcdKey        = "km.machine/etcd"       // URL for clients of the member
	versionKey     = "km.machine/km"         // of km
	kubernetesKey  = "km.machine/kubernetes" // of Kubernetes
	leaseSeconds   = 40
	renewEvery     = 10 * time.Second
	leaseNamespace = metav1.NamespaceSystem
)

// Machine is one of those with a control plane.
type Machine struct {
	Name       string
	Address    string // of its apiserver, HOST:PORT
	Etcd       string // URL at which clients reach its member of etcd
	KM         string // version
	Kubernetes string // version
	Seen       time.Time
}

// Alive reports whether it has told of itself lately.
func (m *Machine) Alive(now time.Time) bool { return now.Sub(m.Seen) < leaseSeconds*time.Second }

func (m *Machine) annotations() map[string]string {
	return map[string]string{addressKey: m.Address, etcdKey: m.Etcd, versionKey: m.KM, kubernetesKey: m.Kubernetes}
}

func machineOf(lease *coordinationv1.Lease) Machine {
	a := lease.Annotations
	return Machine{
		Name: lease.Labels[cluster.MachineLabel], Address: a[addressKey], Etcd: a[etcdKey], KM: a[versionKey], Kubernetes: a[kubernetesKey],
		Seen: ptr.Deref(lease.Spec.RenewTime, metav1.MicroTime{}).Time,
	}
}

// List are the machines with a control plane that have told of themselves, by name.
func List(ctx context.Context, client kubernetes.Interface) ([]Machine, error) {
	leases, err := client.CoordinationV1().Leases(leaseNamespace).List(ctx, metav1.ListOptions{LabelSelector: cluster.MachineLabel})
	if err != nil {
		return nil, err
	}
	var all []Machine
	for i := range leases.Items {
		all = append(all, machineOf(&leases.Items[i]))
	}
	return all, nil
}

// tell writes that the machine is there now.
func (m *Machine) tell(ctx context.Context, client kubernetes.Interface) error {
	leases := client.CoordinationV1().Leases(leaseNamespace)
	lease, err := leases.Get(ctx, leasePrefix+m.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		lease, err = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + m.Name}}, nil
	}
	if err != nil {
		return err
	}
	lease.Labels = map[string]string{cluster.MachineLabel: m.Name}
	lease.Annotations = m.annotations()
	lease.Spec.HolderIdentity = ptr.To(m.Name)
	lease.Spec.LeaseDurationSeconds = ptr.To[int32](leaseSeconds)
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	if missing {
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("the lease %s/%s: %w", leaseNamespace, lease.Name, err)
	}
	return nil
}

// forget removes what a machine has told.
func forget(ctx context.Context, client kubernetes.Interface, name string) error {
	err := client.CoordinationV1().Leases(leaseNamespace).Delete(ctx, leasePrefix+name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
