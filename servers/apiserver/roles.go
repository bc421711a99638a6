package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/seed-200a7251/km/servers/cluster"
)

// addKubernetes adds the roles and bindings of Kubernetes: what upstream's hook makes
// (k8s.io/kubernetes/pkg/registry/rbac/rest, RESTStorageProvider.PostStartHook).
func (r *rights) addKubernetes() {
	for _, roles := range [][]rbacv1.ClusterRole{bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()} {
		for i := range roles {
			r.clusterRoles = append(r.clusterRoles, &roles[i])
		}
	}
	for _, bindings := range [][]rbacv1.ClusterRoleBinding{bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()} {
		for i := range bindings {
			r.clusterBindings = append(r.clusterBindings, &bindings[i])
		}
	}
	for _, roles := range bootstrappolicy.NamespaceRoles() {
		for i := range roles {
			r.roles = append(r.roles, &roles[i])
		}
	}
	for _, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		for i := range bindings {
			r.bindings = append(r.bindings, &bindings[i])
		}
	}
	r.aggregated, r.split = bootstrappolicy.ClusterRolesToAggregate(), bootstrappolicy.ClusterRoleBindingsToSplit()
}

// roleWorkers is how many make what is missing. Each write waits for etcd, which takes together what comes while it is
// at the disk.
const roleWorkers = 16

// ensure makes them. It writes only what is missing: others may have put something in the way of writes. What users
// have added stays, and what they have protected is not touched. It makes what it can, and returns why the rest cannot
// be made: the first reason.
//
// What is right already, which is all in most starts, is asked for in lists.
func (r *rights) ensure(ctx context.Context, client kubernetes.Interface, log *slog.Logger) error {
	there, err := r.list(ctx, client)
	if err != nil {
		return err
	}
	if err := r.migrate(ctx, client, there); err != nil {
		return err
	}
	rbac, namespaces := client.RbacV1(), client.CoreV1().Namespaces()
	var mu sync.Mutex
	var failed []error
	var workers errgroup.Group
	workers.SetLimit(roleWorkers)
	ensure := func(f func() error) {
		workers.Go(func() error {
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	role := func(role reconciliation.RuleOwner, client reconciliation.RuleOwnerModifier) {
		ensure(func() error { return ensureRole(role, listedRole{client, fromList(there.roles, client.Get)}, log) })
	}
	binding := func(binding reconciliation.RoleBinding, client reconciliation.RoleBindingModifier) {
		ensure(func() error {
			return ensureBinding(binding, listedBinding{client, fromList(there.bindings, client.Get)}, log)
		})
	}
	for _, x := range r.clusterRoles {
		role(reconciliation.ClusterRoleRuleOwner{ClusterRole: x}, reconciliation.ClusterRoleModifier{Client: rbac.ClusterRoles()})
	}
	for _, x := range r.roles {
		role(reconciliation.RoleRuleOwner{Role: x}, reconciliation.RoleModifier{Client: rbac, NamespaceClient: namespaces})
	}
	_ = workers.Wait() // the errors are in failed; what gives the roles follows
	for _, x := range r.clusterBindings {
		binding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: x},
			reconciliation.ClusterRoleBindingClientAdapter{Client: rbac.ClusterRoleBindings()})
	}
	for _, x := range r.bindings {
		binding(reconciliation.RoleBindingAdapter{RoleBinding: x},
			reconciliation.RoleBindingClientAdapter{Client: rbac, NamespaceClient: namespaces})
	}
	_ = workers.Wait()
	return firstOf(failed)
}

// firstOf returns a refusal if there is one, as that can be removed, otherwise the first error, and says how many more
// there are.
func firstOf(all []error) error {
	if len(all) == 0 {
		return nil
	}
	i := max(0, slices.IndexFunc(all, cluster.Refused))
	if len(all) == 1 {
		return all[i]
	}
	return fmt.Errorf("%w (and %d more)", all[i], len(all)-1)
}

// listed are roles and bindings that are there. Those of the cluster are in the namespace "".
type listed struct {
	roles    map[types.NamespacedName]reconciliation.RuleOwner
	bindings map[types.NamespacedName]reconciliation.RoleBinding
}

func keyOf(o interface {
	GetNamespace() string
	GetName() string
}) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// list asks for all of the cluster's, and for those of the namespaces in which some are to be.
func (r *rights) list(ctx context.Context, client kubernetes.Interface) (*listed, error) {
	there := &listed{map[types.NamespacedName]reconciliation.RuleOwner{}, map[types.NamespacedName]reconciliation.RoleBinding{}}
	role := func(o reconciliation.RuleOwner) { there.roles[keyOf(o)] = o }
	binding := func(o reconciliation.RoleBinding) { there.bindings[keyOf(o)] = o }
	rbac := client.RbacV1()
	clusterRoles, err := rbac.ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range clusterRoles.Items {
		role(reconciliation.ClusterRoleRuleOwner{ClusterRole: &clusterRoles.Items[i]})
	}
	clusterBindings, err := rbac.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range clusterBindings.Items {
		binding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &clusterBindings.Items[i]})
	}
	var namespaces []string
	for _, o := range r.roles {
		namespaces = append(namespaces, o.Namespace)
	}
	for _, o := range r.bindings {
		namespaces = append(namespaces, o.Namespace)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		roles, err := rbac.Roles(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range roles.Items {
			role(reconciliation.RoleRuleOwner{Role: &roles.Items[i]})
		}
		bindings, err := rbac.RoleBindings(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range bindings.Items {
			binding(reconciliation.RoleBindingAdapter{RoleBinding: &bindings.Items[i]})
		}
	}
	return there, nil
}

// migrate makes, in data of older versions, what has become of roles and bindings that users have changed
// (k8s.io/kubernetes/pkg/registry/rbac/rest, primeAggregatedClusterRoles and primeSplitClusterRoleBindings).
func (r *rights) migrate(ctx context.Context, client kubernetes.Interface, there *listed) error {
	roles, bindings := client.RbacV1().ClusterRoles(), client.RbacV1().ClusterRoleBindings()
	for from, to := range r.aggregated {
		old, ok := there.roles[types.NamespacedName{Name: from}].(reconciliation.ClusterRoleRuleOwner)
		if !ok || there.roles[types.NamespacedName{Name: to}] != nil || old.GetAggregationRule() != nil {
			continue
		}
		role := old.ClusterRole.DeepCopy()
		role.Name, role.ResourceVersion = to, ""
		made, err := roles.Create(ctx, role, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // since the list: it is asked for below
			continue
		}
		if err != nil {
			return err
		}
		there.roles[types.NamespacedName{Name: to}] = reconciliation.ClusterRoleRuleOwner{ClusterRole: made}
	}
	for from, to := range r.split {
		old, ok := there.bindings[types.NamespacedName{Name: from}].(reconciliation.ClusterRoleBindingAdapter)
		if !ok || there.bindings[types.NamespacedName{Name: to.Name}] != nil {
			continue
		}
		binding := to.DeepCopy()
		binding.Subjects = old.ClusterRoleBinding.Subjects
		binding.Labels, binding.Annotations = old.ClusterRoleBinding.Labels, old.ClusterRoleBinding.Annotations
		made, err := bindings.Create(ctx, binding, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return err
		}
		there.bindings[types.NamespacedName{Name: to.Name}] = reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: made}
	}
	return nil
}

// fromList is the Get of a client for one object. What the list tells is its answer once: whoever asks again has
// learned that it has changed since.
func fromList[T any](there map[types.NamespacedName]T, ask func(namespace, name string) (T, error)) func(namespace, name string) (T, error) {
	asked := false
	return func(namespace, name string) (T, error) {
		if asked {
			return ask(namespace, name)
		}
		asked = true
		o, ok := there[types.NamespacedName{Namespace: namespace, Name: name}]
		if !ok {
			return o, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName}, name)
		}
		return o, nil
	}
}

// listedRole is a client for one role.
type listedRole struct {
	reconciliation.RuleOwnerModifier
	get func(namespace, name string) (reconciliation.RuleOwner, error)
}

func (l listedRole) Get(namespace, name string) (reconciliation.RuleOwner, error) {
	return l.get(namespace, name)
}

// listedBinding is a client for one binding.
type listedBinding struct {
	reconciliation.RoleBindingModifier
	get func(namespace, name string) (reconciliation.RoleBinding, error)
}

func (l listedBinding) Get(namespace, name string) (reconciliation.RoleBinding, error) {
	return l.get(namespace, name)
}

func ensureRole(role reconciliation.RuleOwner, client reconciliation.RuleOwnerModifier, log *slog.Logger) error {
	o := reconciliation.ReconcileRoleOptions{Role: role, Client: client, Confirm: true}
	return again("role", role.GetName(), func() error {
		result, err := o.Run()
		if err == nil && result.Protected && result.Operation != reconciliation.ReconcileNone {
			log.Warn("a role is protected from being reconciled, and lacks permissions", "role", keyOf(role).String(),
				"missing", result.MissingRules)
		}
		return err
	})
}

func ensureBinding(binding reconciliation.RoleBinding, client reconciliation.RoleBindingModifier, log *slog.Logger) error {
	o := reconciliation.ReconcileRoleBindingOptions{RoleBinding: binding, Client: client, Confirm: true}
	return again("binding", binding.GetName(), func() error {
		result, err := o.Run()
		if err == nil && result.Protected && result.Operation != reconciliation.ReconcileNone {
			log.Warn("a binding is protected from being reconciled, and lacks subjects", "binding", keyOf(binding).String(),
				"missing", result.MissingSubjects)
		}
		return err
	})
}

// again tries again what others have been at meanwhile, as upstream does.
func again(kind, name string, f func() error) error {
	err := retry.OnError(retry.DefaultBackoff, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsServiceUnavailable(err) }, f)
	if err != nil {
		return fmt.Errorf("the %s %s cannot be made: %w", kind, name, err)
	}
	return nil
}

// rolesSeen returns what reports whether the server's authorizer knows all cluster roles and bindings that a start
// makes.
func (r *rights) rolesSeen(informers rbacinformers.Interface) func() bool {
	// those of the authorizer
	roles, bindings := informers.ClusterRoles().Lister(), informers.ClusterRoleBindings().Lister()
	return func() bool {
		return !slices.ContainsFunc(r.clusterRoles, func(o *rbacv1.ClusterRole) bool { _, err := roles.Get(o.Name); return err != nil }) &&
			!slices.ContainsFunc(r.clusterBindings, func(o *rbacv1.ClusterRoleBinding) bool { _, err := bindings.Get(o.Name); return err != nil })
	}
}
