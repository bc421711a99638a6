//go:build !race

package klogs

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// How many allocations each may cost at most. (The race detector makes more; so this is tested without it.)
const (
	placedAllocs     = 0 // of what is in between: the way from klog to the server's logger
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
	arguments := []any{"controller", "deployment", "workers", 5}
	for _, test := range []struct {
		name string
		f    func()
		most float64
	}{
		{"structured, with arguments that are there already", func() { klog.InfoS("x", arguments...) }, placedAllocs},
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

// A line that a server's goroutine writes with klog costs no allocation beyond those that the server's own zap logger
// has for it. The arguments are there already: what callers make of theirs is not the way's.
func TestAllocationsBeyondZap(t *testing.T) {
	ls, _ := install(t, logging.Config{Out: nowhere{}, Format: logging.FormatJSON})
	db := ls.Server("db")
	z, inContext := db.Zap(), klog.FromContext(logr.NewContext(context.Background(), db.Logr()))
	fields := []zap.Field{zap.String("controller", "deployment"), zap.Int("workers", 5)}
	arguments := []any{"controller", "deployment", "workers", 5}
	db.Do(func() {
		own := testing.AllocsPerRun(1000, func() { z.Info("x", fields...) })
		for name, f := range map[string]func(){
			"structured":       func() { klog.InfoS("x", arguments...) },
			"error":            func() { klog.ErrorS(nil, "x", arguments...) },
			"with a verbosity": func() { klog.V(0).InfoS("x", arguments...) },
			"contextual":       func() { inContext.Info("x", arguments...) },
		} {
			if n := testing.AllocsPerRun(1000, f); n > own {
				t.Errorf("%s: %v allocations, and zap by itself has %v", name, n, own)
			}
		}
	})
}
