package kmtest_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// Users are who they are said to be, and may do what RBAC gives them: here as in a process, by a kubeconfig, too.
func TestUsers(t *testing.T) {
	for _, process := range []bool{false, true} {
		c := kmtest.Start(t, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}})
		config, err := c.AddUser("jane", "developers", "readers")
		if err != nil {
			t.Fatal(err)
		}
		jane, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		me, err := jane.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := me.Status.UserInfo; got.Username != "jane" || len(got.Groups) != 3 || !slices.Contains(got.Groups, "developers") || !slices.Contains(got.Groups, "readers") {
			t.Errorf("process %v: it is %+v", process, got)
		}
		if _, err := jane.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("process %v: she lists Secrets: %v", process, err)
		}
		chief, err := c.AddUser("chief", "system:masters")
		if err != nil {
			t.Fatal(err)
		}
		text, err := kmtest.Kubeconfig(chief)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if config, err = clientcmd.BuildConfigFromFlags("", file); err != nil {
			t.Fatal(err)
		}
		all, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("process %v: %v", process, err)
		}
	}
}
