package kmtest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
	"github.com/seed-200a7251/km/servers/kmtest/envtest"
)

// started is an environment that runs, with a client of its admin.
func started(t *testing.T, env *envtest.Environment) ctrl.Client {
	t.Helper()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ctrl.New(config, ctrl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What a suite does with controller-runtime's Environment, it does with this one.
func TestEnvironment(t *testing.T) {
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("testdata", "crds")},
		ErrorIfCRDPathMissing: true,
		BinaryAssetsDirectory: "/nowhere",
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{filepath.Join("testdata", "webhooks")}},
		KM:                    kmtest.Config{New: km.New, RecordRequests: true},
	}
	env.ControlPlane.GetAPIServer().Configure().Append("disable-admission-plugins", "LimitRanger").Set("event-ttl", "2h")
	c := started(t, env)

	greeting := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Greeting", "spec": map[string]any{"text": "hello"}}}
	serving := &env.WebhookInstallOptions
	hooks := webhook.NewServer(webhook.Options{Host: serving.LocalServingHost, Port: serving.LocalServingPort, CertDir: serving.LocalServingCertDir})
	hooks.Register("/mutate", &admission.Webhook{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed("")
	})})
	hooks.Register("/validate", &admission.Webhook{Handler: admission.HandlerFunc(func(_ context.Context, r admission.Request) admission.Response {
		if r.Name == "wrong" {
			return admission.Denied("it is wrong")
		}
		return admission.Allowed("")
	})})
	serve, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- hooks.Start(serve) }()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		wrong := greeting.DeepCopy()
		wrong.SetNamespace("default")
		wrong.SetName("wrong")
		err := c.Create(ctx, wrong)
		return apierrors.IsForbidden(err), nil
	})
	if err != nil {
		t.Errorf("what the webhook refuses is not refused: %v", err)
	}

	user, err := env.AddUser(envtest.User{Name: "jane", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jane, err := ctrl.New(user.Config(), ctrl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	greeting.SetNamespace("default")
	greeting.SetName("hello")
	if err := jane.Create(t.Context(), greeting); err != nil {
		t.Error(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.invalid/c"}}}}
	if err := jane.Create(t.Context(), pod); err != nil { // nobody makes service accounts
		t.Error(err)
	}
	requests, err := env.Cluster().Requests(func(r kmtest.Request) bool { return r.User == "jane" && r.Writes() })
	if err != nil || len(requests) != 2 {
		t.Errorf("%d requests, %v", len(requests), err)
	}
	dir := env.Cluster().DataDir
	if err := env.Stop(); err != nil {
		t.Error(err)
	}
	gone(t, dir, serving.LocalServingCertDir)
}

// With controllers what has lost its owner goes, and so does a namespace.
func TestEnvironmentWithControllers(t *testing.T) {
	c := started(t, &envtest.Environment{KM: kmtest.Config{New: km.New, Servers: []string{"controller-manager"}}})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "short"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, ctrl.ObjectKeyFromObject(namespace), namespace)
		return apierrors.IsNotFound(err), ctrl.IgnoreNotFound(err)
	})
	if err != nil {
		t.Error(err)
	}
}

// One that cannot start is told, and leaves nothing to stop.
func TestEnvironmentWrong(t *testing.T) {
	for name, env := range map[string]*envtest.Environment{
		"a flag":     {KM: kmtest.Config{New: km.New, Flags: []string{"--nonsense"}}},
		"a time":     {KM: kmtest.Config{New: km.New, Process: true, KeepLogs: t.TempDir()}, ControlPlaneStartTimeout: time.Nanosecond},
		"a folder":   {KM: kmtest.Config{New: km.New}, CRDDirectoryPaths: []string{"testdata/none"}, ErrorIfCRDPathMissing: true},
		"a cluster":  {UseExistingCluster: new(true)},
		"no cluster": {KM: kmtest.Config{New: km.New, Servers: []string{"etcd"}}},
	} {
		t.Setenv("KUBECONFIG", "/nowhere")
		t.Setenv("HOME", t.TempDir())
		if _, err := env.Start(); err == nil || errors.Is(err, os.ErrExist) {
			t.Errorf("%s: it has started", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
		if err := env.Stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
