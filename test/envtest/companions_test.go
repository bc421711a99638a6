package envtest

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// A suite that was written for envtest has controllers, a scheduler and nodes without a change. When envtest says that
// it has started, they are there.
func TestCompanions(t *testing.T) {
	t.Parallel()
	env := environment(t)
	env.BinaryAssetsDirectory = linksWith(t, "KM_WITH=controller-manager,scheduler,executor --executor.nodes=2")
	start(t, env)
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var account corev1.ServiceAccount
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "default"}, &account); err != nil {
		t.Errorf("the service account of the namespace default: %v", err)
	}
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes); err != nil || len(nodes.Items) != 2 {
		t.Errorf("%d nodes, %v", len(nodes.Items), err)
	}

	t.Run("deployment", func(t *testing.T) {
		t.Parallel()
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: podTemplate("web")}}
		create(t, c, d)
		poll(t, "three pods", func(ctx context.Context) (bool, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(d), d)
			return d.Status.AvailableReplicas == 3, err
		})
		// what it owns goes with it
		if err := c.Delete(t.Context(), d, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Fatal(err)
		}
		poll(t, "no pods", func(ctx context.Context) (bool, error) {
			var pods corev1.PodList
			err := c.List(ctx, &pods, client.InNamespace("default"), client.MatchingLabels{"app": "web"})
			return len(pods.Items) == 0, err
		})
	})
	t.Run("job", func(t *testing.T) {
		t.Parallel()
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "once"}, Spec: batchv1.JobSpec{Template: podTemplate("once")}}
		job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		create(t, c, job)
		poll(t, "completion", func(ctx context.Context) (bool, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(job), job)
			return job.Status.Succeeded == 1, err
		})
	})
	t.Run("namespace", func(t *testing.T) {
		t.Parallel()
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}
		create(t, c, namespace)
		create(t, c, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "gone", Name: "with-it"}})
		if err := c.Delete(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		poll(t, "the namespace's end", func(ctx context.Context) (bool, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		})
	})
	t.Run("user", func(t *testing.T) {
		t.Parallel()
		user, err := env.AddUser(envtest.User{Name: "reader", Groups: []string{"readers"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := client.New(user.Config(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := theirs.List(t.Context(), &corev1.ConfigMapList{}); !apierrors.IsForbidden(err) {
			t.Errorf("a user without rights: %v", err)
		}
	})
}

func create(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func podTemplate(app string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "one", Image: "registry.example/one"}}},
	}
}

// Links can have them, too.
func TestCompanionsOfLinks(t *testing.T) {
	t.Parallel()
	env := environment(t)
	env.BinaryAssetsDirectory = t.TempDir()
	if out, err := exec.Command(binary, "--make-symlinks", "--dir", env.BinaryAssetsDirectory, "--with=controller-manager").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	start(t, env)
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "default"}, &corev1.ServiceAccount{}); err != nil {
		t.Errorf("the service account of the namespace default: %v", err)
	}
}

// What is wrong with the companions ends the start, and is there to be read.
func TestCompanionsWrong(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"controller-manger":                    "controller-manger",
		"scheduler --scheduler.no-such-flag=1": "no-such-flag",
	} {
		t.Run(with, func(t *testing.T) {
			t.Parallel()
			env := environment(t)
			env.BinaryAssetsDirectory = linksWith(t, "KM_WITH="+with)
			var stderr bytes.Buffer
			env.ControlPlane.GetAPIServer().Err = &stderr
			err := within(t, "start", func() error {
				_, err := env.Start()
				return err
			})
			if err == nil {
				err = errors.New("it has started")
			}
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%v; %q is not in\n%s", err, want, stderr.String())
			}
		})
	}
}
