package cluster

import (
	"fmt"
	"iter"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	kubeadmconstants "k8s.io/kubernetes/cmd/kubeadm/app/constants"

	"github.com/seed-200a7251/km/supervisor"
)

// Identity is who a server is to the apiserver, and what it may do there. Kubernetes' own components are kubeadm's
// users, to whom RBAC's bootstrap roles give what they need; the others say what that is. The roles and bindings of
// an identity are made in every cluster, whichever servers run there.
type Identity struct {
	// User is the user's name. Default: km:NAME, with the name of the server.
	User string
	// Groups are those in which the user is. There may be none.
	Groups []string

	// Rules are those of a ClusterRole of the server's own, km:NAME, and a ClusterRoleBinding of that name gives it to
	// the user. Without any, neither is made.
	Rules []rbacv1.PolicyRule
	// Bindings give the user ClusterRoles that are there anyway, such as those of Kubernetes.
	Bindings []Binding
	// Namespaced are what the user may do in single namespaces.
	Namespaced []NamespacedRules

	// Group has what the identity may do be that of a group, and not of a user: it is for those who come with a token,
	// and has no kubeconfig.
	Group string

	// OnNodes says that a machine that joins as a node gets a kubeconfig of it.
	OnNodes bool

	// Serves says that the cluster makes a certificate with which the server serves, too: pki/NAME.crt and its key. It
	// is made, by PrepareClient, where the server's flag tls-cert-file names it.
	Serves bool
}

// Binding is a ClusterRoleBinding.
type Binding struct {
	Name        string
	ClusterRole string
}

// NamespacedRules are those of a Role km:NAME in a namespace, and a RoleBinding of that name there gives it to the
// user. A namespace that is missing is made.
type NamespacedRules struct {
	Namespace string
	Rules     []rbacv1.PolicyRule
}

// named is an identity with its name.
type named struct {
	name string
	Identity
}

// Identify says who a server is, from which the cluster makes its kubeconfig (PrepareClient) and the apiserver what
// RBAC needs. It is for New in the server's room, before anything runs. It returns the paths in the data folder of what
// is made there, for supervisor.Server.State. It panics if the name is taken.
func (c *Cluster) Identify(name string, i Identity) (state []string) {
	if _, err := c.identity(name); err == nil || name == NodeKubeconfig {
		panic(fmt.Sprintf("cluster: Identify: there is an identity %q already", name))
	}
	if i.User == "" {
		i.User = "km:" + name
	}
	c.identities = append(c.identities, named{name, i})
	if i.Serves {
		state = certificateFiles(name)
	}
	return slices.Concat(state, kubeconfigFiles(name))
}

// Grant gives a user or a group rights of which no server here makes use by a kubeconfig of its own. It is for Prepare,
// and may be called again. The name is that of its roles, km:NAME.
func (c *Cluster) Grant(name string, i Identity) {
	c.granted = slices.DeleteFunc(c.granted, func(other named) bool { return other.name == name })
	c.granted = append(c.granted, named{name, i})
}

// Granted are what Grant was called with, by name.
func (c *Cluster) Granted() iter.Seq2[string, Identity] { return each(c.granted) }

// Identities are those of the servers, in the order in which they were added, and that of the admin, by name.
func (c *Cluster) Identities() iter.Seq2[string, Identity] { return each(c.identities) }

func each(all []named) iter.Seq2[string, Identity] {
	return func(yield func(string, Identity) bool) {
		for _, i := range all {
			if !yield(i.name, i.Identity) {
				return
			}
		}
	}
}

func (c *Cluster) identity(name string) (Identity, error) {
	at := slices.IndexFunc(c.identities, func(i named) bool { return i.name == name })
	if at < 0 {
		return Identity{}, fmt.Errorf("no identity %q: its room is to call Identify", name)
	}
	return c.identities[at].Identity, nil
}

// Admin is the name of the identity of whoever uses the cluster.
const Admin = "admin"

// adminIdentity is kubeadm's: not in system:masters, whom no policy can stop, but in a group that is bound to
// cluster-admin.
var adminIdentity = Identity{User: "kubernetes-admin", Groups: []string{kubeadmconstants.ClusterAdminsGroupAndClusterRoleBinding}}

// NodeKubeconfig is the name of the kubeconfig of a real node. It differs from that of simulated ones, who are another
// user.
const NodeKubeconfig = "node"

// EnsureNodeKubeconfig makes the kubeconfig of a real node: its identity has the node's name in it, so that the node
// authorizer gives it what is about this node and nothing else.
func (c *Cluster) EnsureNodeKubeconfig(p *supervisor.Plan, node string) error {
	return c.ensureKubeconfig(p, NodeKubeconfig, nodeIdentity(node))
}

func nodeIdentity(node string) Identity {
	return Identity{User: kubeadmconstants.NodesUserPrefix + node, Groups: []string{kubeadmconstants.NodesGroup}}
}
