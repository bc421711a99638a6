package apiserver

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// roleWorkers is how many make the roles and bindings of Kubernetes. One alone, as upstream, makes some hundred
// requests one after another, each of which waits for the disk.
const roleWorkers = 4

// rolesHook is upstream's hook that makes Kubernetes' roles and bindings (rbacrest.RESTStorageProvider.PostStartHook),
// by several workers at a time.
func rolesHook() genericapiserver.PostStartHookFunc {
	policies := rolePolicies()
	return func(hook genericapiserver.PostStartHookContext) error {
		results := make(chan error, len(policies))
		for _, policy := range policies {
			go func() { results <- policy.EnsureRBACPolicy()(hook) }()
		}
		var failed error
		for range policies {
			if err := <-results; failed == nil {
				failed = err
			}
		}
		return failed
	}
}

// rolePolicies are all roles and bindings of Kubernetes, in parts of which none needs another one. What is renamed or
// split in data of older versions is in the first one, together with what it becomes.
func rolePolicies() [roleWorkers]rbacrest.PolicyData {
	var parts [roleWorkers]rbacrest.PolicyData
	first := &parts[0]
	first.ClusterRolesToAggregate = bootstrappolicy.ClusterRolesToAggregate()
	first.ClusterRoleBindingsToSplit = bootstrappolicy.ClusterRoleBindingsToSplit()
	first.Roles, first.RoleBindings = bootstrappolicy.NamespaceRoles(), bootstrappolicy.NamespaceRoleBindings()

	together := map[string]bool{}
	for from, to := range first.ClusterRolesToAggregate {
		together[from], together[to] = true, true
	}
	for from, to := range first.ClusterRoleBindingsToSplit {
		together[from], together[to.Name] = true, true
	}
	part := func(i int, name string) *rbacrest.PolicyData {
		if together[name] {
			return first
		}
		return &parts[i%roleWorkers]
	}
	for i, role := range append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...) {
		p := part(i, role.Name)
		p.ClusterRoles = append(p.ClusterRoles, role)
	}
	for i, binding := range append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...) {
		p := part(i, binding.Name)
		p.ClusterRoleBindings = append(p.ClusterRoleBindings, binding)
	}
	return parts
}

// rolesSeen returns what reports whether the server's authorizer knows all cluster roles and bindings that a start
// makes: those of Kubernetes, and the rights.
func rolesSeen(informers rbacinformers.Interface, r *rights) func() bool {
	// those of the authorizer
	roles, bindings := informers.ClusterRoles().Lister(), informers.ClusterRoleBindings().Lister()
	var roleNames, bindingNames []string
	for _, policy := range rolePolicies() {
		for i := range policy.ClusterRoles {
			roleNames = append(roleNames, policy.ClusterRoles[i].Name)
		}
		for i := range policy.ClusterRoleBindings {
			bindingNames = append(bindingNames, policy.ClusterRoleBindings[i].Name)
		}
	}
	for _, role := range r.clusterRoles {
		roleNames = append(roleNames, role.Name)
	}
	for _, binding := range r.clusterBindings {
		bindingNames = append(bindingNames, binding.Name)
	}
	return func() bool {
		return !slices.ContainsFunc(roleNames, func(name string) bool { _, err := roles.Get(name); return err != nil }) &&
			!slices.ContainsFunc(bindingNames, func(name string) bool { _, err := bindings.Get(name); return err != nil })
	}
}

// makeRoles makes the cluster roles and bindings of Kubernetes in a new cluster, as they are: rolesHook, which would do
// so, is asleep when the server takes requests. What is not made here, rolesHook makes.
func makeRoles(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	rbac := client.RbacV1()
	there, err := rbac.ClusterRoles().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil || len(there.Items) > 0 {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(roleWorkers)
	for _, policy := range rolePolicies() {
		for _, role := range policy.ClusterRoles {
			g.Go(func() error {
				_, err := rbac.ClusterRoles().Create(ctx, &role, metav1.CreateOptions{})
				return err
			})
		}
		for _, binding := range policy.ClusterRoleBindings {
			g.Go(func() error {
				_, err := rbac.ClusterRoleBindings().Create(ctx, &binding, metav1.CreateOptions{})
				return err
			})
		}
	}
	return g.Wait()
}
