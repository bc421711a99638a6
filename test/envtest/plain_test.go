package envtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// linksWith is a folder of binaries that are called with variables in their environment, as NAME=value.
func linksWith(t *testing.T, variables ...string) string {
	t.Helper()
	dir := t.TempDir()
	set := "'" + strings.Join(variables, "' '") + "'"
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		script := fmt.Sprintf("#!/bin/sh\nexec env %s '%s' \"$@\"\n", set, filepath.Join(links, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What a link starts in its own way is, when it is ready, what upstream's command is: the same checks, APIs and flags,
// and the same objects in the cluster.
func TestAsUpstream(t *testing.T) {
	t.Parallel()
	fast, plain := environment(t), environment(t)
	plain.BinaryAssetsDirectory = linksWith(t, "KM_PLAIN=1")
	for _, env := range []*envtest.Environment{fast, plain} {
		start(t, env)
	}
	t.Run("requests", func(t *testing.T) {
		for _, path := range []string{"/readyz?verbose", "/livez?verbose", "/healthz?verbose", "/api/v1", "/apis", "/version", "/openapi/v2"} {
			got, want := ask(t, fast, path), ask(t, plain, path)
			if strings.HasSuffix(path, "?verbose") { // the order is another one
				got, want = sortedLines(got), sortedLines(want)
			}
			if got != want {
				t.Errorf("%s:\n%.3000s\nupstream's is\n%.3000s", path, got, want)
			}
		}
		// upstream's has hashes besides
		if got, want := openAPIPaths(t, fast), openAPIPaths(t, plain); !slices.Equal(got, want) {
			t.Errorf("/openapi/v3: %q\nupstream's is %q", got, want)
		}
	})
	for _, list := range []client.ObjectList{&rbacv1.ClusterRoleList{}, &rbacv1.ClusterRoleBindingList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
		&schedulingv1.PriorityClassList{}, &flowcontrolv1.FlowSchemaList{}, &flowcontrolv1.PriorityLevelConfigurationList{}} {
		kind := strings.TrimSuffix(reflect.TypeOf(list).Elem().Name(), "List")
		t.Run(kind, func(t *testing.T) {
			want := objects(t, plain, list.DeepCopyObject().(client.ObjectList))
			got := objects(t, fast, list.DeepCopyObject().(client.ObjectList))
			if len(want) == 0 {
				t.Fatal("upstream's command has made none")
			}
			for name, text := range want {
				if got[name] != text {
					t.Errorf("%s is\n%s\nupstream's is\n%s", name, got[name], text)
				}
				delete(got, name)
			}
			for name := range got {
				t.Errorf("%s is not there with upstream's command", name)
			}
		})
	}
}

// ask is what the API server answers.
func ask(t *testing.T, env *envtest.Environment, path string) string {
	t.Helper()
	api, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	request := api.Discovery().RESTClient().Get().AbsPath(path)
	if query != "" {
		request = request.Param(query, "")
	}
	text, err := request.Do(t.Context()).Raw()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(text)
}

func sortedLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

func openAPIPaths(t *testing.T, env *envtest.Environment) (paths []string) {
	t.Helper()
	var list struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(ask(t, env, "/openapi/v3")), &list); err != nil {
		t.Fatal(err)
	}
	for path := range list.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// objects are those of a kind, as JSON without what differs between any two clusters.
func objects(t *testing.T, env *envtest.Environment, list client.ObjectList) map[string]string {
	t.Helper()
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = meta.EachListItem(list, func(object runtime.Object) error {
		o := object.(client.Object)
		name := o.GetNamespace() + "/" + o.GetName()
		o.SetUID("")
		o.SetResourceVersion("")
		o.SetCreationTimestamp(metav1.Time{})
		o.SetManagedFields(nil)
		switch o := o.(type) { // told by a controller, later
		case *flowcontrolv1.FlowSchema:
			o.Status = flowcontrolv1.FlowSchemaStatus{}
		case *flowcontrolv1.PriorityLevelConfiguration:
			o.Status = flowcontrolv1.PriorityLevelConfigurationStatus{}
		}
		text, err := json.Marshal(o)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A suite that leaves watches open, as managers that nobody has stopped do, is stopped all the same. Upstream's command
// waits for a minute, and envtest, unless it is told otherwise, for 20 seconds.
func TestStopWithWatches(t *testing.T) {
	t.Parallel()
	env := environment(t)
	env.ControlPlaneStopTimeout = 40 * time.Second
	start(t, env)
	api, err := kubernetes.NewForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := api.CoreV1().RESTClient().Get().AbsPath("/api/v1/configmaps").Param("watch", "true").Stream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	stop(t, env.Stop)
}
