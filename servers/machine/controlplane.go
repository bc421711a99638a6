package machine

import (
	"bytes"
	"context"
	"net"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/versions"
	"github.com/seed-200a7251/km/supervisor"
)

// Who comes with a token is in one of these groups, by what it is for.
const (
	nodesGroup         = "system:bootstrappers:km:node"
	controlPlanesGroup = "system:bootstrappers:km:control-plane"
	user               = "km:machine"
)

// asks is the role of who asks for certificates.
const asks = "system:node-bootstrapper"

// groupOf is that of a role.
func groupOf(role string) string {
	if role == cluster.ControlPlane {
		return controlPlanesGroup
	}
	return nodesGroup
}

// grant gives this server, those who come with a token, and the servers of nodes what they may do in a cluster of
// several machines.
func grant(c *cluster.Cluster) {
	c.Grant(names.Machine, cluster.Identity{
		User: user,
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"certificatesigningrequests/approval"}, Verbs: []string{"update"}},
			{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"}, Verbs: []string{"approve"},
				ResourceNames: []string{certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeletServingSignerName}},
			{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list"}},
		},
		Namespaced: []cluster.NamespacedRules{
			{Namespace: leaseNamespace, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "create", "update"}},
			}},
			{Namespace: metav1.NamespacePublic, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "update"}},
			}},
		},
	})
	// As kubeadm has it (cmd/kubeadm/app/phases/bootstraptoken/node): they ask for certificates, those of nodes are
	// approved by upstream's controller, and nodes renew theirs.
	c.Grant("joining-nodes", cluster.Identity{
		Group: nodesGroup,
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get"}}},
		Bindings: []cluster.Binding{
			{Name: "km:joining-nodes-ask", ClusterRole: asks},
			{Name: "km:joining-nodes-approved", ClusterRole: "system:certificates.k8s.io:certificatesigningrequests:nodeclient"},
		},
	})
	c.Grant("nodes", cluster.Identity{
		Group:    "system:nodes",
		Bindings: []cluster.Binding{{Name: "km:nodes-renew", ClusterRole: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"}},
	})
	c.Grant("joining-control-planes", cluster.Identity{
		Group: controlPlanesGroup,
		Namespaced: []cluster.NamespacedRules{{Namespace: metav1.NamespaceSystem, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{keysSecret}, Verbs: []string{"get"}},
		}}},
	})
	// Whoever is to join knows nothing yet but an address.
	c.Grant("discovery", cluster.Identity{
		User: "system:anonymous",
		Namespaced: []cluster.NamespacedRules{{Namespace: metav1.NamespacePublic, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{bootstrapapi.ConfigMapClusterInfo}, Verbs: []string{"get"}},
		}}},
	})
	for name, id := range c.Identities() {
		if !id.OnNodes {
			continue
		}
		c.Grant("joined-"+name, cluster.Identity{
			User:     id.User,
			Bindings: []cluster.Binding{{Name: "km:joined-" + name + "-renews", ClusterRole: asks}},
			Namespaced: []cluster.NamespacedRules{{Namespace: metav1.NamespaceDefault, Rules: []rbacv1.PolicyRule{
				{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
			}}},
		})
	}
}

// runControlPlane tells of this machine, and lets others join, until ctx ends.
func (m *machine) runControlPlane(ctx context.Context, s *supervisor.Server) error {
	client, err := cluster.Client(cluster.KubeconfigPath(m.plan, names.Machine))
	if err != nil {
		return err
	}
	me, err := m.describe()
	if err != nil {
		return err
	}
	if err := m.cluster.Insist(ctx, s, func(ctx context.Context) error { return m.publish(ctx, client, me) }); err != nil {
		return err
	}
	s.MarkReady()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return newApprover(client, m.cluster, m.plan, s.Logger()).run(ctx) })
	group.Go(func() error {
		failing := false
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			err := me.tell(ctx, client)
			if err != nil && !failing && ctx.Err() == nil {
				s.Logger().Warn("this machine cannot tell the others of itself", zap.Error(err))
			}
			failing = err != nil
		}, renewEvery)
		return nil
	})
	return group.Wait()
}

// describe returns what this machine tells of itself.
func (m *machine) describe() (*Machine, error) {
	name, err := cluster.MachineName(m.plan)
	if err != nil {
		return nil, err
	}
	me := &Machine{Name: name, KM: versions.KM(), Kubernetes: versions.Kubernetes()}
	ip := cluster.Advertised(m.plan).String()
	me.Address = net.JoinHostPort(ip, m.plan.Server(names.APIServer).Value("secure-port"))
	if m.plan.Selected(names.Etcd) {
		me.Etcd = cluster.EtcdClientURL(m.plan)
	}
	return me, nil
}

// publish makes what others find when they join.
func (m *machine) publish(ctx context.Context, client kubernetes.Interface, me *Machine) error {
	if err := m.publishInfo(ctx, client, me.Address); err != nil {
		return err
	}
	return me.tell(ctx, client)
}

// publishInfo makes the ConfigMap by which the cluster's authority is known (k8s.io/cluster-bootstrap): its address is
// that of whichever machine made it.
func (m *machine) publishInfo(ctx context.Context, client kubernetes.Interface, address string) error {
	ca, err := os.ReadFile(cluster.PKIPath(m.plan, "ca.crt"))
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[""] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthorityData: ca}
	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(metav1.NamespacePublic)
	info, err := maps.Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.ConfigMapClusterInfo},
			Data:       map[string]string{bootstrapapi.KubeConfigKey: string(text)},
		}, metav1.CreateOptions{})
		return err
	case err != nil:
		return err
	}
	if there, err := clientcmd.Load([]byte(info.Data[bootstrapapi.KubeConfigKey])); err == nil {
		for _, c := range there.Clusters {
			if bytes.Equal(c.CertificateAuthorityData, ca) {
				return nil
			}
		}
	}
	if info.Data == nil {
		info.Data = map[string]string{}
	}
	info.Data[bootstrapapi.KubeConfigKey] = string(text)
	_, err = maps.Update(ctx, info, metav1.UpdateOptions{})
	return err
}
