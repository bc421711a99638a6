package kmtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

var greetings = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "greetings"}

// Fixtures are there for the test, in its namespace, definitions and all, and gone with it; what was there stays.
func TestFixtures(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}})
	objects, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	settings := client(t, c).CoreV1().ConfigMaps("default")
	c.Apply(t, "default", "testdata/settings.yaml")
	once := func(t *testing.T) {
		namespace := c.Namespace(t)
		c.Apply(t, namespace, "testdata/fixture.yaml", "testdata/crds")
		got, err := objects.Resource(greetings).Namespace(namespace).Get(t.Context(), "hello", metav1.GetOptions{})
		if err != nil || got.GetName() != "hello" {
			t.Errorf("%v, %v", got, err)
		}
		c.Apply(t, "default", "testdata/fixture.yaml") // changes what is there
		if m, err := settings.Get(t.Context(), "settings", metav1.GetOptions{}); err != nil || m.Data["colour"] != "blue" {
			t.Errorf("%v, %v", m, err)
		}
	}
	t.Run("one test", once)
	t.Run("the next", once) // the definition of before is about to go
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := objects.Resource(greetings).List(ctx, metav1.ListOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.Errorf("the definition is still there: %v", err)
	}
	if _, err := settings.Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// What cannot be applied is told, with its name.
func TestFixturesWrong(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}})
	for path, want := range map[string]string{
		"testdata/none":         "no such file",
		"testdata/fixture.yaml": "Greeting hello: no matches for kind",
		"testdata/wrong.yaml":   "ConfigMap wrong: ",
	} {
		r := &recorder{TB: t}
		r.run(func() { c.Apply(r, "default", path) })
		if !r.failed || !strings.Contains(r.text, want) {
			t.Errorf("there is no %q in: %s", want, r.text)
		}
	}
}
