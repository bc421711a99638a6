package apiserver

import (
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"

	"github.com/seed-200a7251/km/servers/cluster"
)

// identityRoles are km's own roles.
var identityRoles = []*rbacv1.ClusterRole{executorRole, dnsRole, storageRole}

// identityBindings are what gives them, and Kubernetes' roles, to those who need them.
var identityBindings = []struct {
	name, role string
	subject    rbacv1.Subject
}{
	// As kubeadm has it (cmd/kubeadm/app/phases/kubeconfig, EnsureAdminClusterRoleBindingImpl), which creates before it
	// looks.
	{constants.ClusterAdminsGroupAndClusterRoleBinding, "cluster-admin", group(constants.ClusterAdminsGroupAndClusterRoleBinding)},
	{"km:apiserver-kubelet-client", "system:kubelet-api-admin", user(constants.APIServerKubeletClientCertCommonName)},
	{"km:executor", executorRole.Name, user(cluster.ExecutorUser)},
	{"km:dns", dnsRole.Name, user(cluster.DNSUser)},
	{"km:storage", storageRole.Name, user(cluster.StorageUser)},
	{"km:storage-provisioner", "system:persistent-volume-provisioner", user(cluster.StorageUser)},
}

// ensureIdentities gives the identities that RBAC's bootstrap roles do not know what they need. It writes only what is
// missing: others may have put something in the way of writes. What users have added stays.
func ensureIdentities(client kubernetes.Interface) error {
	for _, role := range identityRoles {
		if err := ensureRole(reconciliation.ClusterRoleRuleOwner{ClusterRole: role},
			reconciliation.ClusterRoleModifier{Client: client.RbacV1().ClusterRoles()}); err != nil {
			return err
		}
	}
	for _, b := range identityBindings {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: b.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: b.role},
			Subjects:   []rbacv1.Subject{b.subject},
		}
		if err := ensureBinding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: binding},
			reconciliation.ClusterRoleBindingClientAdapter{Client: client.RbacV1().ClusterRoleBindings()}); err != nil {
			return err
		}
	}
	return ensureDNS(client)
}

// ensureDNS lets the DNS server make its Service, in the one namespace where that is.
func ensureDNS(client kubernetes.Interface) error {
	meta := metav1.ObjectMeta{Name: "km:dns", Namespace: metav1.NamespaceSystem}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"create"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"create", "update"}},
	}}
	if err := ensureRole(reconciliation.RoleRuleOwner{Role: role},
		reconciliation.RoleModifier{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()}); err != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{user(cluster.DNSUser)},
	}
	return ensureBinding(reconciliation.RoleBindingAdapter{RoleBinding: binding},
		reconciliation.RoleBindingClientAdapter{Client: client.RbacV1(), NamespaceClient: client.CoreV1().Namespaces()})
}

func ensureRole(role reconciliation.RuleOwner, client reconciliation.RuleOwnerModifier) error {
	o := reconciliation.ReconcileRoleOptions{Role: role, Client: client, Confirm: true}
	if _, err := o.Run(); err != nil {
		return fmt.Errorf("the role %s cannot be made: %w", role.GetName(), err)
	}
	return nil
}

func ensureBinding(binding reconciliation.RoleBinding, client reconciliation.RoleBindingModifier) error {
	o := reconciliation.ReconcileRoleBindingOptions{RoleBinding: binding, Client: client, Confirm: true}
	if _, err := o.Run(); err != nil {
		return fmt.Errorf("the binding %s cannot be made: %w", binding.GetName(), err)
	}
	return nil
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
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

// dnsRole is what CoreDNS's own role is (cmd/kubeadm/app/phases/addons/dns), and what it takes to make the DNS server's
// Service.
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
