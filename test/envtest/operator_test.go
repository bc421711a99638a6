package envtest

import (
	"bufio"
	"context"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// An operator is tested with envtest as its makers do it.
func TestOperator(t *testing.T) {
	t.Parallel()
	env := environment(t)
	c := operator(t, env)
	g := greet(t, c)

	t.Run("webhook refuses", func(t *testing.T) {
		silent := &Greeting{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "silent"}}
		for what, err := range map[string]error{
			"create": c.Create(t.Context(), silent),
			"update": c.Patch(t.Context(), g.DeepCopyObject().(*Greeting), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"text":""}}`))),
		} {
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), errSilent.Error()) {
				t.Errorf("%s: %v, want a refusal: %v", what, err, errSilent)
			}
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(silent), silent); !apierrors.IsNotFound(err) {
			t.Errorf("what has been refused is there: %v", err)
		}
	})
	t.Run("schema refuses", func(t *testing.T) {
		wrong := &Greeting{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "wrong"}, Spec: GreetingSpec{Text: "hello", Speakers: -1}}
		if err := c.Create(t.Context(), wrong); !apierrors.IsInvalid(err) {
			t.Errorf("%v, want that it is invalid", err)
		}
	})
}

// greet makes a Greeting, and returns it when the operator has made its Deployment.
func greet(t *testing.T, c client.Client) *Greeting {
	t.Helper()
	g := &Greeting{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hello"}, Spec: GreetingSpec{Text: "hello, world", Speakers: 2}}
	if err := c.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	poll(t, "Deployment", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(g), &d)
		return err == nil, client.IgnoreNotFound(err)
	})
	if owner := metav1.GetControllerOf(&d); owner == nil || owner.UID != g.UID {
		t.Errorf("the Deployment's owner is %v, want the Greeting", owner)
	}
	if text := d.Spec.Template.Spec.Containers[0].Args[0]; text != g.Spec.Text {
		t.Errorf("the Deployment says %q, want %q", text, g.Spec.Text)
	}
	return g
}

// With a cluster of km's, an operator sees what envtest by itself does not give: pods that run, and owned objects that
// go with their owner. (Upstream's garbage collector looks for new kinds of owners every 30 seconds: this takes its
// time.)
func TestExistingCluster(t *testing.T) {
	t.Parallel()
	env := environment(t)
	env.UseExistingCluster = new(true)
	var err error
	if env.Config, err = clientcmd.BuildConfigFromFlags("", cluster(t)); err != nil {
		t.Fatal(err)
	}
	c := operator(t, env)
	g := greet(t, c)

	poll(t, "status", func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(g), g)
		return g.Status.Speaking == 2, err
	})
	var pods corev1.PodList
	if err := c.List(t.Context(), &pods, client.InNamespace("default"), client.MatchingLabels{"greeting": "hello"}); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 2 {
		t.Errorf("%d pods, want 2", len(pods.Items))
	}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" || p.Spec.NodeName == "" {
			t.Errorf("%s is %s on node %q with address %q", p.Name, p.Status.Phase, p.Spec.NodeName, p.Status.PodIP)
		}
	}

	if err := c.Delete(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]client.ObjectList{"Deployments": &appsv1.DeploymentList{}, "ReplicaSets": &appsv1.ReplicaSetList{}, "pods": &corev1.PodList{}} {
		poll(t, what+" that lost their owner", func(ctx context.Context) (bool, error) {
			err := c.List(ctx, list, client.InNamespace("default"))
			return meta.LenList(list) == 0, err
		})
	}
}

// cluster starts a cluster of km's that leaves nothing behind, and returns its kubeconfig. It is stopped with the test.
func cluster(t *testing.T) (kubeconfig string) {
	t.Helper()
	km := exec.Command(binary, "run", "--ephemeral", "--free-ports")
	stderr := new(output)
	km.Stderr = stderr
	stdout, err := km.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := km.Start(); err != nil {
		t.Fatal(err)
	}
	remember(t, func() []int { return []int{km.Process.Pid} })
	said := regexp.MustCompile(`export KUBECONFIG=(\S+)`)
	found, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if m := said.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		err := km.Process.Signal(syscall.SIGTERM)
		await(t, "the end of km", read)
		if waited := km.Wait(); err == nil {
			err = waited
		}
		if err != nil {
			t.Error("km run:", err)
		}
		if t.Failed() {
			stderr.show(t, "km")
		}
	})
	select {
	case kubeconfig = <-found:
	case <-read:
		t.Fatal("km run ended before it was ready")
	case <-time.After(patience):
		hang(t, "km run is ready")
	}
	return kubeconfig
}
