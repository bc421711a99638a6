package kmtest_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

var pool = kmtest.Pool{Config: kmtest.Config{New: km.New, Servers: []string{"apiserver"}}, Ready: 2}

// Each test has a cluster of its own, also those that run at the same time. TestMain sees to those that nobody takes.
func TestPool(t *testing.T) {
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c := pool.Start(t)
			use(t, c)
			all, err := client(t, c).CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=one"})
			if err != nil || len(all.Items) != 1 {
				t.Errorf("%d objects, want the one of this test (%v)", len(all.Items), err)
			}
		})
	}
}

var broken = kmtest.Pool{Config: kmtest.Config{New: km.New, Servers: []string{"apiserver"}, Flags: []string{"--nonsense"}}}

// What is wrong is told to each test.
func TestBrokenPool(t *testing.T) {
	for range 3 {
		r := &recorder{TB: t}
		r.run(func() { broken.Start(r) })
		if !r.failed || !strings.Contains(r.text, "unknown flag: --nonsense") {
			t.Errorf("failed %v: %s", r.failed, r.text)
		}
	}
}
