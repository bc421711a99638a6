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

// rights are the roles and bindings that a start makes beside those of Kubernetes.
type rights struct {
	clusterRoles    []*rbacv1.ClusterRole
	clusterBindings []*rbacv1.ClusterRoleBinding
	roles           []*rbacv1.Role
	bindings        []*rbacv1.RoleBinding // each to the role at the same place
}

// rightsOf are those of kubeadm's that a cluster has by its certificates, and what the identities of its servers ask
// for.
func rightsOf(c *cluster.Cluster) *rights {
	r := &rights{}
	// As kubeadm has it (cmd/kubeadm/app/phases/kubeconfig, EnsureAdminClusterRoleBindingImpl), which creates before it
	// looks.
	r.bind(constants.ClusterAdminsGroupAndClusterRoleBinding, "cluster-admin", group(constants.ClusterAdminsGroupAndClusterRoleBinding))
	r.bind("km:apiserver-kubelet-client", "system:kubelet-api-admin", user(constants.APIServerKubeletClientCertCommonName))
	for name, identity := range c.Identities() {
		r.add("km:"+name, identity)
	}
	return r
}

// add adds what an identity asks for. own is the name of what is its own.
func (r *rights) add(own string, identity cluster.Identity) {
	subject := user(identity.User)
	if len(identity.Rules) > 0 {
		r.clusterRoles = append(r.clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: own}, Rules: identity.Rules})
		r.bind(own, own, subject)
	}
	for _, b := range identity.Bindings {
		r.bind(b.Name, b.ClusterRole, subject)
	}
	for _, n := range identity.Namespaced {
		meta := metav1.ObjectMeta{Name: own, Namespace: n.Namespace}
		r.roles = append(r.roles, &rbacv1.Role{ObjectMeta: meta, Rules: n.Rules})
		r.bindings = append(r.bindings, &rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: own},
			Subjects:   []rbacv1.Subject{subject},
		})
	}
}

// bind adds a binding to a cluster role.
func (r *rights) bind(name, role string, subject rbacv1.Subject) {
	r.clusterBindings = append(r.clusterBindings, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	})
}

// ensure makes them. It writes only what is missing: others may have put something in the way of writes. What users
// have added stays.
func (r *rights) ensure(client kubernetes.Interface) error {
	rbac, namespaces := client.RbacV1(), client.CoreV1().Namespaces()
	for _, role := range r.clusterRoles {
		if err := ensureRole(reconciliation.ClusterRoleRuleOwner{ClusterRole: role},
			reconciliation.ClusterRoleModifier{Client: rbac.ClusterRoles()}); err != nil {
			return err
		}
	}
	for _, binding := range r.clusterBindings {
		if err := ensureBinding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: binding},
			reconciliation.ClusterRoleBindingClientAdapter{Client: rbac.ClusterRoleBindings()}); err != nil {
			return err
		}
	}
	for i, role := range r.roles {
		if err := ensureRole(reconciliation.RoleRuleOwner{Role: role},
			reconciliation.RoleModifier{Client: rbac, NamespaceClient: namespaces}); err != nil {
			return err
		}
		if err := ensureBinding(reconciliation.RoleBindingAdapter{RoleBinding: r.bindings[i]},
			reconciliation.RoleBindingClientAdapter{Client: rbac, NamespaceClient: namespaces}); err != nil {
			return err
		}
	}
	return nil
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
