package apiserver

import (
	"context"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"

	"github.com/seed-200a7251/km/servers/cluster"
)

// bindIdentities gives the identities that RBAC's bootstrap roles do not know what they need. As a hook of the server's it
// is part of its /readyz.
func bindIdentities(ctx context.Context, loopback *rest.Config) error {
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return err
	}
	// The loopback client may do everything, whatever RBAC has in store already.
	if _, err := kubeconfig.EnsureAdminClusterRoleBindingImpl(ctx, client, nil, 25*time.Millisecond, 10*time.Second); err != nil {
		return err
	}
	for _, role := range []*rbacv1.ClusterRole{executorRole, dnsRole, storageRole} {
		if _, err := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, b := range []struct{ name, user, role string }{
		{"km:apiserver-kubelet-client", constants.APIServerKubeletClientCertCommonName, "system:kubelet-api-admin"},
		{"km:executor", cluster.ExecutorUser, executorRole.Name},
		{"km:dns", cluster.DNSUser, dnsRole.Name},
		{"km:storage", cluster.StorageUser, storageRole.Name},
		{"km:storage-provisioner", cluster.StorageUser, "system:persistent-volume-provisioner"},
	} {
		_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: b.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: b.role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: b.user}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	// A controller inside the server makes the namespace in a moment.
	return wait.PollUntilContextTimeout(ctx, readyPoll, startTime, true, func(ctx context.Context) (bool, error) {
		err := bindDNS(ctx, client)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// bindDNS lets the DNS server make its Service, in the one namespace where that is.
func bindDNS(ctx context.Context, client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Name: "km:dns", Namespace: metav1.NamespaceSystem}
	rbac := client.RbacV1()
	_, err := rbac.Roles(meta.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"create"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"create", "update"}},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = rbac.RoleBindings(meta.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: cluster.DNSUser}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// executorRole is what it takes to play nodes: what a kubelet may do, for all nodes, kwok's Stages, and volumes.
var executorRole = &rbacv1.ClusterRole{
	ObjectMeta: metav1.ObjectMeta{Name: "km:executor"},
	Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"nodes/status", "pods/status"}, Verbs: []string{"update", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch", "update", "patch", "delete"}},
		{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "update", "patch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
		{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: []string{"get", "create"}},
		{APIGroups: []string{"kwok.x-k8s.io"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create", "patch"}},
		// Claims of simulated pods get simulated volumes.
		{APIGroups: []string{""}, Resources: []string{"persistentvolumes"}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"storageclasses"}, Verbs: []string{"get", "list", "create"}},
	},
}

// dnsRole is what CoreDNS's own role is (cmd/kubeadm/app/phases/addons/dns), and what it takes to make the DNS server's Service.
var dnsRole = &rbacv1.ClusterRole{
	ObjectMeta: metav1.ObjectMeta{Name: "km:dns"},
	Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	},
}

// storageRole is what it takes to have a StorageClass, beside what Kubernetes's own role for provisioners allows.
var storageRole = &rbacv1.ClusterRole{
	ObjectMeta: metav1.ObjectMeta{Name: "km:storage"},
	Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"storageclasses"}, Verbs: []string{"create"}},
	},
}
