package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// poll waits until f says so. Its error is one of f's, or that patience is over.
func poll(t testing.TB, what string, f func(ctx context.Context) (bool, error)) {
	t.Helper()
	switch err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, patience, true, f); {
	case wait.Interrupted(err):
		hang(t, what)
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
}

// What a plain client-go does against a real control plane, it does here.
func TestAPI(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t)
	config := h.config(t, "km")
	client := kubernetes.NewForConfigOrDie(config)

	sideBySide(t, unlimited,
		// Upstream waits in both: for five seconds before it ends a namespace, and for two before it serves a new
		// definition.
		subtest{"namespace and its service account", func(t *testing.T) { testNamespace(t, client) }},
		subtest{"custom resource", func(t *testing.T) { testCustomResource(t, config) }},
		subtest{"one after the other", func(t *testing.T) {
			t.Run("deployment", func(t *testing.T) { testDeployment(t, client) })
			t.Run("server-side apply", func(t *testing.T) { testServerSideApply(t, client) })
			t.Run("service account token", func(t *testing.T) { testToken(t, client, config) })
			t.Run("anonymous", func(t *testing.T) { testAnonymous(t, config) })
			t.Run("flags", func(t *testing.T) { testFlagz(t, client) })
			t.Run("cipher suites", func(t *testing.T) { testCipherSuites(t, h) })
			t.Run("renewed certificates", func(t *testing.T) { testRenewedWhileRunning(t, h) })
			t.Run("secrets in logs", func(t *testing.T) { testSecretsInLogs(t, h) })
			t.Run("identities", func(t *testing.T) { testIdentities(t, client) })
			t.Run("kubectl", func(t *testing.T) { testKubectl(t, h) })
			t.Run("version", func(t *testing.T) {
				v, err := client.Discovery().ServerVersion()
				if err != nil {
					t.Fatal(err)
				}
				if out := h.must(t, "version"); !strings.Contains(out, "Kubernetes "+v.GitVersion+"\n") {
					t.Errorf("the server says it is %s, `km version` says\n%s", v.GitVersion, out)
				}
			})
		}},
	)

	// Open watches do not hold the exit for the minute that upstream's default gives them.
	w, err := client.CoreV1().Pods("").Watch(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func testNamespace(t *testing.T, client kubernetes.Interface) {
	ctx := context.Background()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(t, "the namespace's service account", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts("ns").Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	})
	if err := client.CoreV1().Namespaces().Delete(ctx, "ns", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(t, "the namespace's end", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, "ns", metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignore(err, apierrors.IsNotFound)
	})
}

func ignore(err error, is func(error) bool) error {
	if err == nil || is(err) {
		return nil
	}
	return err
}

// Deployment, ReplicaSet and garbage collector are controllers; the scheduler places the pods, and the executor runs
// them.
func testDeployment(t *testing.T, client kubernetes.Interface) {
	ctx := context.Background()
	pods, err := client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	defer pods.Stop()
	two := int32(2)
	labels := map[string]string{"app": "web"}
	_, err = client.AppsV1().Deployments("default").Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &two,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.invalid/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{}
	awaitEvent(t, "2 pods run", pods, func(e watch.Event) bool {
		if pod := e.Object.(*corev1.Pod); e.Type == watch.Modified && pod.Status.Phase == corev1.PodRunning {
			run[pod.Name] = true
		}
		return len(run) == 2
	})
	background := metav1.DeletePropagationBackground
	if err := client.AppsV1().Deployments("default").Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	poll(t, "garbage collection", func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		return err == nil && len(list.Items) == 0, err
	})
}

func testCustomResource(t *testing.T, config *rest.Config) {
	ctx := context.Background()
	client := dynamic.NewForConfigOrDie(config)
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	crd := parse(t, `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "teas.example.com"}, "spec": {
		"group": "example.com", "scope": "Namespaced", "names": {"plural": "teas", "singular": "tea", "kind": "Tea"},
		"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
			"spec": {"type": "object", "required": ["minutes"], "properties": {"minutes": {"type": "integer"}}}}}}}]}}`)
	if _, err := crds.Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	teas := client.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "teas"}).Namespace("default")
	poll(t, "the new resource", func(ctx context.Context) (bool, error) {
		_, err := teas.List(ctx, metav1.ListOptions{})
		return err == nil, ignore(err, apierrors.IsNotFound)
	})
	w, err := teas.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := teas.Create(ctx, parse(t, `{"apiVersion": "example.com/v1", "kind": "Tea", "metadata": {"name": "green"}, "spec": {"minutes": 3}}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, "the new object in the watch", w, func(e watch.Event) bool {
		if e.Type != watch.Added {
			t.Errorf("watch: %v, want %v", e.Type, watch.Added)
		}
		return true
	})
	_, err = teas.Create(ctx, parse(t, `{"apiVersion": "example.com/v1", "kind": "Tea", "metadata": {"name": "cold"}, "spec": {"minutes": "many"}}`), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("an object against its schema: %v, want an error that says it is invalid", err)
	}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(text), u); err != nil {
		t.Fatal(err)
	}
	return u
}

func testServerSideApply(t *testing.T, client kubernetes.Interface) {
	ctx := context.Background()
	apply := func(manager, value string, force bool) error {
		object := fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"key": %q}}`, value)
		_, err := client.CoreV1().ConfigMaps("default").Patch(ctx, "applied", types.ApplyPatchType, []byte(object),
			metav1.PatchOptions{FieldManager: manager, Force: &force})
		return err
	}
	if err := apply("one", "a", false); err != nil {
		t.Fatal(err)
	}
	if err := apply("two", "b", false); !apierrors.IsConflict(err) {
		t.Errorf("a field of another manager's: %v, want a conflict", err)
	}
	if err := apply("two", "b", true); err != nil {
		t.Error(err)
	}
}

// A token of a service account says who one is, and RBAC what one may.
func testToken(t *testing.T, client kubernetes.Interface, config *rest.Config) {
	ctx := context.Background()
	request, err := client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plain := rest.AnonymousClientConfig(config)
	plain.BearerToken = request.Status.Token
	bearer := kubernetes.NewForConfigOrDie(plain)
	review, err := bearer.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if user := review.Status.UserInfo.Username; user != "system:serviceaccount:default:default" {
		t.Errorf("the token's user is %s", user)
	}
	if _, err := bearer.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets for a service account without rights: %v, want forbidden", err)
	}
}

func testAnonymous(t *testing.T, config *rest.Config) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/healthz": 200,
		"/": 401, "/api": 401, "/version": 401, "/metrics": 401, "/api/v1/namespaces": 401, "/openapi/v2": 401,
	} {
		r, err := client.Get(config.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("GET %s without credentials: %d, want %d", path, r.StatusCode, want)
		}
	}
}

// The admin can be restrained by RBAC; components are users of their own.
func testIdentities(t *testing.T, client kubernetes.Interface) {
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(context.Background(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	user := review.Status.UserInfo
	if user.Username != "kubernetes-admin" || strings.Contains(strings.Join(user.Groups, " "), "system:masters") {
		t.Errorf("the admin is %s in %v", user.Username, user.Groups)
	}
}

func testKubectl(t *testing.T, h home) {
	h.must(t, "kubectl", "create", "deployment", "hello", "--image=example.invalid/hello")
	if out := h.must(t, "kubectl", "get", "deployment", "hello", "-o", "jsonpath={.spec.replicas}"); out != "1" {
		t.Errorf("kubectl get: %q", out)
	}
	h.must(t, "kubectl", "wait", "--for=create", "pod", "-l", "app=hello", patient)
	// Of what is applied by the client, the API server keeps the last version, as the annotation tells it.
	file := filepath.Join(t.TempDir(), "map.yaml")
	for _, test := range []struct{ value, does string }{{"first", "created"}, {"second", "configured"}} {
		writeFile(t, file, configMap("client-side", test.value))
		if out := h.must(t, "kubectl", "apply", "-f", file); out != "configmap/client-side "+test.does+"\n" {
			t.Errorf("kubectl apply: %q", out)
		}
		got := h.shows(t, "configmap/client-side", `{.data.value} {.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}`)
		if !strings.HasPrefix(got, test.value+" {") || !strings.Contains(got, `"data":{"value":"`+test.value+`"}`) {
			t.Errorf("applied: %s", got)
		}
	}
	if out := h.must(t, "kubectl", "explain", "deployment.spec.replicas"); !strings.Contains(out, "integer") {
		t.Errorf("kubectl explain: %s", out)
	}
	if r := h.km(t, "kubectl", "get", "nonsense"); r.code != 1 || !strings.Contains(r.stderr, "nonsense") {
		t.Errorf("kubectl get nonsense: exit code %d, %s", r.code, r.stderr)
	}
	if out := h.must(t, "kubectl", "auth", "can-i", "create", "pods"); out != "yes\n" {
		t.Errorf("may the admin create pods? %s", out)
	}
}
