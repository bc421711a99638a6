package apiserver

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/seed-200a7251/km/servers/cluster"
)

// What the identities of a cluster ask for is made: roles before what gives them. What is there is not written again,
// and what has been removed is.
func TestRights(t *testing.T) {
	rules := func(resource string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{"list"}}}
	}
	c := cluster.New()
	c.Identify("one", cluster.Identity{Rules: rules("pods"), Bindings: []cluster.Binding{{Name: "km:one-more", ClusterRole: "view"}}})
	c.Identify("none", cluster.Identity{User: "system:known"})
	c.Identify("two", cluster.Identity{User: "second", Rules: rules("nodes"),
		Namespaced: []cluster.NamespacedRules{{Namespace: metav1.NamespaceSystem, Rules: rules("secrets")}}})
	client := fake.NewClientset()
	writes := func() (made []string) {
		t.Helper()
		client.ClearActions()
		if err := rightsOf(c).ensure(t.Context(), client, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		for _, a := range client.Actions() {
			switch a := a.(type) {
			case k8stesting.CreateAction: // an update is one, too
				made = append(made, a.GetVerb()+" "+described(a.GetObject()))
			case k8stesting.DeleteAction:
				made = append(made, a.GetVerb()+" "+a.GetName())
			}
		}
		made = slices.DeleteFunc(made, func(what string) bool { return what == "create " }) // the namespace
		// Several are at it: those of a kind come in any order.
		first := slices.IndexFunc(made, func(what string) bool { return strings.Contains(what, "Binding ") })
		if first < 0 {
			first = len(made)
		}
		slices.Sort(made[:first])
		slices.Sort(made[first:])
		return made
	}
	all := []string{
		"create ClusterRole km:one: pods",
		"create ClusterRole km:two: nodes",
		"create Role kube-system/km:two: secrets",
		"create ClusterRoleBinding km:apiserver-kubelet-client: system:kubelet-api-admin to kube-apiserver-kubelet-client",
		"create ClusterRoleBinding km:one-more: view to km:one",
		"create ClusterRoleBinding km:one: km:one to km:one",
		"create ClusterRoleBinding km:two: km:two to second",
		"create ClusterRoleBinding kubeadm:cluster-admins: cluster-admin to kubeadm:cluster-admins",
		"create RoleBinding kube-system/km:two: km:two to second",
	}
	if diff := cmp.Diff(all, writes()); diff != "" {
		t.Errorf("in a new cluster (-want +got):\n%s", diff)
	}
	if again := writes(); len(again) > 0 {
		t.Errorf("what is there was written again: %q", again)
	}
	if err := client.RbacV1().ClusterRoleBindings().Delete(t.Context(), "km:two", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all[6:7], writes()); diff != "" {
		t.Errorf("where one is missing (-want +got):\n%s", diff)
	}
}

// described says what matters of a role or binding.
func described(object any) string {
	switch o := object.(type) {
	case *rbacv1.ClusterRole:
		return "ClusterRole " + o.Name + ": " + o.Rules[0].Resources[0]
	case *rbacv1.ClusterRoleBinding:
		return "ClusterRoleBinding " + o.Name + ": " + o.RoleRef.Name + " to " + o.Subjects[0].Name
	case *rbacv1.Role:
		return "Role " + o.Namespace + "/" + o.Name + ": " + o.Rules[0].Resources[0]
	case *rbacv1.RoleBinding:
		return "RoleBinding " + o.Namespace + "/" + o.Name + ": " + o.RoleRef.Name + " to " + o.Subjects[0].Name
	}
	return ""
}
