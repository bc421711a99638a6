//go:build !race

package klogs

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// How many allocations each may cost at most. (The race detector makes more; so this is tested without it.)
const (
	structuredAllocs = 1 // of the arguments, by their caller
	formattedAllocs  = 4 // klog's text, among others
	contextualAllocs = 1
	droppedAllocs    = 2 // klog's own, of the arguments
	contextDropped   = 1
)

func TestAllocations(t *testing.T) {
	ls, _ := install(t, logging.Config{Out: nowhere{}, Format: logging.FormatJSON})
	db := ls.Server("db")
	ls.Server("loud").SetLevel(logging.Verbosity(4))
	inContext := klog.FromContext(logr.NewContext(context.Background(), db.Logr()))
	for _, test := range []struct {
		name string
		f    func()
		most float64
	}{
		{"structured", func() { klog.InfoS("x", "controller", "deployment", "workers", 5) }, structuredAllocs},
		{"formatted", func() { klog.Infof("Starting controller %q with %d workers", "deployment", 5) }, formattedAllocs},
		{"contextual", func() { inContext.Info("x", "controller", "deployment", "workers", 5) }, contextualAllocs},
		{"dropped by the server, while another wants it", func() { klog.V(4).InfoS("x", "controller", "deployment") }, droppedAllocs},
		{"dropped by all", func() { klog.V(5).InfoS("x", "controller", "deployment") }, droppedAllocs},
		{"dropped in a context", func() { inContext.V(4).Info("x", "controller", "deployment") }, contextDropped},
	} {
		db.Do(func() {
			n := testing.AllocsPerRun(1000, test.f)
			t.Logf("%s: %v", test.name, n)
			if n > test.most {
				t.Errorf("%s: %v allocations, want at most %v", test.name, n, test.most)
			}
		})
	}
}
