package apiserver

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"

	"github.com/seed-200a7251/km/servers/cluster"
)

// rights are the roles and bindings that a start makes.
type rights struct {
	clusterRoles    []*rbacv1.ClusterRole
	clusterBindings []*rbacv1.ClusterRoleBinding
	roles           []*rbacv1.Role
	bindings        []*rbacv1.RoleBinding

	// What is renamed or split in data of older versions.
	aggregated map[string]string
	split      map[string]rbacv1.ClusterRoleBinding
}

// isEmpty reports whether there are none.
func (r *rights) isEmpty() bool {
	return len(r.clusterRoles)+len(r.clusterBindings)+len(r.roles)+len(r.bindings) == 0
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
	for name, identity := range c.Granted() {
		r.add("km:"+name, identity)
	}
	return r
}

// add adds what an identity asks for. own is the name of what is its own.
func (r *rights) add(own string, identity cluster.Identity) {
	subject := user(identity.User)
	if identity.Group != "" {
		subject = group(identity.Group)
	}
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

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}
