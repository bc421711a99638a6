package km_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// newToy is the room of a server that others add to km: it counts ConfigMaps, and serves their number.
func newToy(c *cluster.Cluster) *supervisor.Server {
	toy := &supervisor.Server{
		SimpleUsage: "toy",
		Long:        "Counts the ConfigMaps of the namespace default.",
		Needs:       []supervisor.Need{{Server: names.APIServer, Unless: []string{"kubeconfig"}}},
		State: c.Identify("toy", cluster.Identity{
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}},
			Namespaced: []cluster.NamespacedRules{{Namespace: "toys", Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}}}}},
			Serves:     true,
		}),
		Defaults: func(p *supervisor.Plan, s *supervisor.Server) error {
			return s.Default("kubeconfig", cluster.KubeconfigPath(p, "toy"),
				"tls-cert-file", cluster.PKIPath(p, "toy.crt"), "tls-private-key-file", cluster.PKIPath(p, "toy.key"))
		},
		Ports:   cluster.Ports,
		Prepare: c.PrepareClient,
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			client, err := cluster.Client(s.Value("kubeconfig"))
			if err != nil {
				return err
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				maps, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(r.Context(), metav1.ListOptions{})
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
					return
				}
				_ = json.NewEncoder(w).Encode(len(maps.Items)) // who has asked may be gone
			})}
			serve := func(l net.Listener) error {
				return server.ServeTLS(l, s.Value("tls-cert-file"), s.Value("tls-private-key-file"))
			}
			return s.Serve(ctx, "secure-port", serve, server.Shutdown)
		},
		Address: cluster.HTTPS,
	}
	flags := pflag.NewFlagSet("toy", pflag.ContinueOnError)
	flags.String("bind-address", "127.0.0.1", "address to serve on")
	flags.Int("secure-port", 10300, "port to serve on")
	for _, name := range []string{"kubeconfig", "tls-cert-file", "tls-private-key-file"} {
		flags.String(name, "", "a file")
	}
	toy.AddFlagGroup("toy", flags)
	return toy
}

// newKM is km with the toy.
func newKM() *supervisor.HyperKube {
	c := cluster.New()
	hk := km.NewWith(c)
	hk.AddServer(newToy(c))
	return hk
}

// A server that is added to km is a room and a line: it has a kubeconfig, may do what it says and nothing else, and
// serves on its port. No other room knows of it.
func TestAddedServer(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: newKM, Servers: []string{"toy"}})
	admin, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.DataDir, "kubeconfig", "toy.conf"))
	if err != nil {
		t.Fatal(err)
	}
	toy, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("identity", func(t *testing.T) {
		review, err := toy.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if user := review.Status.UserInfo; user.Username != "km:toy" || !slices.Equal(user.Groups, []string{"system:authenticated"}) {
			t.Errorf("it is %s in %q", user.Username, user.Groups)
		}
	})
	t.Run("rights", func(t *testing.T) {
		for _, test := range []struct {
			verb, resource, namespace string
			want                      bool
		}{
			{"list", "configmaps", "default", true},
			{"list", "configmaps", "", true},
			{"get", "configmaps", "default", false},
			{"delete", "configmaps", "default", false},
			{"list", "secrets", "default", false},
			{"create", "pods", "toys", true},
			{"create", "pods", "default", false},
			{"list", "nodes", "", false},
		} {
			review, err := toy.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: test.verb, Resource: test.resource, Namespace: test.namespace,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != test.want {
				t.Errorf("may it %s %s in %q? %v, want %v", test.verb, test.resource, test.namespace, review.Status.Allowed, test.want)
			}
		}
	})
	t.Run("port", func(t *testing.T) {
		maps, err := admin.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tlsConfig, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: config.CAData}})
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, addressOf(t, c, "toy"), tlsConfig); got != len(maps.Items) {
			t.Errorf("it counts %d ConfigMaps, want %d", got, len(maps.Items))
		}
	})
	t.Run("objects", func(t *testing.T) { testObjects(t, admin) })
}

// testObjects looks at what is made for the identities of all servers, whichever of them run.
func testObjects(t *testing.T, admin kubernetes.Interface) {
	rbac := admin.RbacV1()
	roles, err := rbac.ClusterRoles().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clusterBindings, err := rbac.ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := rbac.RoleBindings("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	bound := func(binding string, role rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if len(subjects) == 0 { // some of Kubernetes' are for nobody
			return
		}
		made = append(made, binding+": "+role.Name+" to "+subjects[0].Name)
	}
	for _, o := range roles.Items {
		made = append(made, o.Name)
	}
	for _, o := range clusterBindings.Items {
		bound(o.Name, o.RoleRef, o.Subjects)
	}
	for _, o := range bindings.Items {
		bound(o.Namespace+"/"+o.Name, o.RoleRef, o.Subjects)
	}
	made = slices.DeleteFunc(made, func(what string) bool { return !strings.Contains(what, "km:") })
	want := []string{
		"km:dns", "km:executor", "km:storage", "km:toy",
		"km:apiserver-kubelet-client: system:kubelet-api-admin to kube-apiserver-kubelet-client",
		"km:dns: km:dns to km:dns", "km:executor: km:executor to km:executor", "km:storage: km:storage to km:storage",
		"km:storage-provisioner: system:persistent-volume-provisioner to km:storage", "km:toy: km:toy to km:toy",
		"kube-node-lease/km:executor: km:executor to km:executor", "kube-system/km:dns: km:dns to km:dns", "toys/km:toy: km:toy to km:toy",
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("roles and bindings of km's servers (-want +got):\n%s", diff)
	}
}

// addressOf is where the status of a cluster says that a server is.
func addressOf(t *testing.T, c *kmtest.Cluster, name string) string {
	t.Helper()
	hk, out := newKM(), &bytes.Buffer{}
	hk.SetOut(out)
	if err := hk.Run([]string{"km", "status", "--output=json", "--data-dir=" + c.DataDir}); err != nil {
		t.Fatal(err)
	}
	var status supervisor.Status
	if err := json.Unmarshal(out.Bytes(), &status); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, s := range status.Servers {
		if s.Name == name {
			return s.Address
		}
	}
	t.Fatalf("there is no %s in\n%s", name, out)
	return ""
}

// ask returns the number that is served at an address.
func ask(t *testing.T, url string, tlsConfig *tls.Config) (number int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&number); err != nil {
		t.Fatal(err)
	}
	return number
}
