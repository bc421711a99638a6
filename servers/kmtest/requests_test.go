package kmtest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// agent is a client by whose name its requests are found.
func agent(t testing.TB, c *kmtest.Cluster, name string) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(c.Config)
	config.UserAgent = name
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// A client's requests are there as soon as it has been answered, each once, and those of nobody else.
func TestRequestsOf(t *testing.T) {
	for _, process := range []bool{false, true} {
		c := kmtest.Start(t, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}, RecordRequests: true})
		maps := agent(t, c, "greeter").CoreV1().ConfigMaps("default")
		made, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		watch, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: made.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		if _, err := maps.Patch(t.Context(), "one", types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		<-watch.ResultChan()
		if _, err := maps.Get(t.Context(), "none", metav1.GetOptions{}); err == nil {
			t.Fatal("it is there")
		}
		if _, err := agent(t, c, "greeter").Discovery().ServerVersion(); err != nil {
			t.Fatal(err)
		}
		got, err := c.Requests(func(r kmtest.Request) bool { return r.UserAgent == "greeter" })
		if err != nil {
			t.Fatal(err)
		}
		const path = "/api/v1/namespaces/default/configmaps"
		object := func(verb, uri, name string, code int) kmtest.Request {
			return kmtest.Request{User: "kubernetes-admin", UserAgent: "greeter", Verb: verb, URI: uri, APIVersion: "v1", Resource: "configmaps",
				Namespace: "default", Name: name, Code: code}
		}
		want := []kmtest.Request{
			object("create", path, "one", 201),
			object("watch", path+"?resourceVersion="+made.ResourceVersion+"&watch=true", "", 200),
			object("patch", path+"/one", "one", 200),
			object("get", path+"/none", "none", 404),
			{User: "kubernetes-admin", UserAgent: "greeter", Verb: "get", URI: "/version", Code: 200},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(kmtest.Request{}, "ID", "Began", "Took")); diff != "" {
			t.Errorf("process %v: (-want +got)\n%s", process, diff)
		}
		for i, r := range got {
			if r.ID == "" || r.Began.IsZero() || (r.Took == 0) != (r.Verb == "watch") || r.Writes() != (i == 0 || i == 2) {
				t.Errorf("process %v: %+v", process, r)
			}
		}
	}
}

// None is missed among many.
func TestRequestsOfMany(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}, RecordRequests: true})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			name := fmt.Sprint("client-", i)
			maps := agent(t, c, name).CoreV1().ConfigMaps("default")
			for j := range 20 {
				if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(name, "-", j)}}, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
				got, err := c.Requests(func(r kmtest.Request) bool { return r.UserAgent == name && r.Writes() })
				if err != nil || len(got) != j+1 {
					t.Errorf("%s has made %d requests, and %d are known (%v)", name, j+1, len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// Unless a test asks for it, nothing is recorded, and it is told how.
func TestRequestsAreOff(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}})
	if _, err := c.Requests(nil); err == nil || !strings.Contains(err.Error(), "kmtest.Config.RecordRequests") {
		t.Error(err)
	}
}
