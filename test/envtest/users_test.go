package envtest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// kubectl runs the kubectl of a user.
func kubectl(t *testing.T, user *envtest.AuthenticatedUser, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	k, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	out, errOut, err := k.Run(args...)
	return text(t, out), text(t, errOut), err
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Users have what RBAC gives them, by kubectl as by a client.
func TestUsers(t *testing.T) {
	t.Parallel()
	env := environment(t)
	start(t, env)
	admin, err := env.AddUser(envtest.User{Name: "chief", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := env.AddUser(envtest.User{Name: "reader", Groups: []string{"readers"}}, nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("refused", func(t *testing.T) {
		stdout, stderr, err := kubectl(t, reader, "get", "configmaps")
		if err == nil || stdout != "" || !strings.Contains(stderr, `User "reader" cannot list resource "configmaps"`) {
			t.Errorf("%v\n%s%s", err, stdout, stderr)
		}
	})
	t.Run("admin", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "note.yaml")
		if err := os.WriteFile(file, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note}\ndata: {text: hello}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if stdout, stderr, err := kubectl(t, admin, "apply", "-f", file); err != nil || stdout != "configmap/note created\n" {
			t.Errorf("%v\n%s%s", err, stdout, stderr)
		}
		//lint:ignore SA1019 older suites call it
		out, errOut, err := env.ControlPlane.KubeCtl().Run("get", "configmap", "note", "-o", "jsonpath={.data.text}")
		if got := text(t, out); err != nil || got != "hello" {
			t.Errorf("the default user: %v\n%s%s", err, got, text(t, errOut))
		}
	})
	t.Run("allowed", func(t *testing.T) {
		c, err := client.New(admin.Config(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// Upstream's own "view" is empty without the controller that aggregates roles.
		readers := metav1.ObjectMeta{Namespace: "default", Name: "readers"}
		for _, o := range []client.Object{
			&rbacv1.Role{ObjectMeta: readers, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}}},
			&rbacv1.RoleBinding{
				ObjectMeta: readers,
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "readers"},
				Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "readers"}},
			},
		} {
			if err := c.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		file, err := reader.KubeConfig()
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.RESTConfigFromKubeConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		allowed, err := client.New(config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		poll(t, "permission", func(ctx context.Context) (bool, error) {
			err := allowed.List(ctx, &corev1.ConfigMapList{}, client.InNamespace("default"))
			if apierrors.IsForbidden(err) {
				return false, nil
			}
			return err == nil, err
		})
		if stdout, stderr, err := kubectl(t, reader, "get", "configmaps", "-o", "name"); err != nil || !strings.Contains(stdout, "configmap/note\n") {
			t.Errorf("%v\n%s%s", err, stdout, stderr)
		}
	})
}

// Environments that start at the same time have nothing in common.
func TestParallel(t *testing.T) {
	t.Parallel()
	envs := []*envtest.Environment{environment(t), environment(t)}
	var started sync.WaitGroup
	for _, env := range envs {
		started.Go(func() {
			if _, err := env.Start(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := within(t, "start", func() error { started.Wait(); return nil }); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	for i, env := range envs {
		c, err := client.New(env.Config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// The second one's would be there already.
		if err := c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "only"}}); err != nil {
			t.Errorf("environment %d: %v", i, err)
		}
	}
}
