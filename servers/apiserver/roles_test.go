package apiserver

import (
	"reflect"
	"testing"

	"k8s.io/kubernetes/pkg/registry/rbac/rest"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// All roles and bindings are made, each by one worker.
func TestRolePolicies(t *testing.T) {
	parts := rolePolicies()
	roles, bindings := map[string]int{}, map[string]int{}
	for i, part := range parts {
		if len(part.ClusterRoles) < 10 {
			t.Errorf("worker %d makes %d cluster roles: the work is not shared", i, len(part.ClusterRoles))
		}
		for _, role := range part.ClusterRoles {
			roles[role.Name]++
		}
		for _, binding := range part.ClusterRoleBindings {
			bindings[binding.Name]++
		}
	}
	for _, role := range append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...) {
		if roles[role.Name] != 1 {
			t.Errorf("the cluster role %s is made %d times", role.Name, roles[role.Name])
		}
	}
	for _, binding := range append(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()...) {
		if bindings[binding.Name] != 1 {
			t.Errorf("the binding %s is made %d times", binding.Name, bindings[binding.Name])
		}
	}
	first := parts[0]
	if len(first.Roles) == 0 || len(first.RoleBindings) == 0 {
		t.Error("roles of namespaces are missing")
	}
	for from, to := range first.ClusterRolesToAggregate {
		for _, part := range parts[1:] {
			for _, role := range part.ClusterRoles {
				if role.Name == from || role.Name == to {
					t.Errorf("%s is not made where it is renamed", role.Name)
				}
			}
		}
	}
	if n := reflect.TypeFor[rest.PolicyData]().NumField(); n != 6 {
		t.Errorf("upstream's policy has %d fields, 6 of which are known here: see PostStartHook in its package", n)
	}
}
