package kmtest_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// A test with a cluster in its own process.
func Example() {
	_ = func(t *testing.T) { // TestSecrets
		cluster := kmtest.Start(t, kmtest.Config{
			New:     km.New, // without it, the binary km is run
			Servers: []string{"apiserver"},
			Flags:   []string{"--apiserver.event-ttl=2h"},
		})
		client, err := kubernetes.NewForConfig(cluster.Config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Secrets(cluster.Namespace(t)).List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
	}
}
