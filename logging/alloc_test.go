//go:build !race

package logging

import (
	"log"
	"log/slog"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
)

// How many allocations each may cost at most. (The race detector makes more; so this is tested without it.)
const (
	ownerAllocs       = 0
	placeAllocs       = 0
	stackAllocs       = 2 // of Place, if the goroutine has no label
	zapAllocs         = 2
	slogAllocs        = 3
	logrAllocs        = 1 // of the arguments, by their caller
	stdAllocs         = 2 // the message, and the look whether it is log.Fatal that writes it
	droppedAllocs     = 0
	droppedWithAllocs = 1 // of the arguments, by their caller
)

func TestAllocations(t *testing.T) {
	ls := New(Config{Files: true})
	defer ls.Close()
	ls.Program().Discard()
	db := ls.Server("db")
	db.file.Load().open(nowhere{})
	ls.TakeDefaults()
	ls.Server("loud").SetLevel(Verbosity(4))
	z, s, l := db.Zap(), db.Slog(), db.Logr()
	shared, sharedLogr := zap.New(ls.Placing(), zap.AddCaller()), logr.New(ls.Sink(nil))
	for _, test := range []struct {
		name string
		f    func()
		most float64
	}{
		{"Owner", func() { Owner() }, ownerAllocs},
		{"Place", func() { ls.Place() }, placeAllocs},
		{"zap", func() { z.Info("x", zap.String("controller", "deployment"), zap.Int("workers", 5)) }, zapAllocs},
		{"zap placed", func() { shared.Info("x", zap.String("controller", "deployment"), zap.Int("workers", 5)) }, zapAllocs},
		{"slog", func() { s.Info("x", "controller", "deployment", "workers", 5) }, slogAllocs},
		{"slog placed", func() { slog.Info("x", "controller", "deployment", "workers", 5) }, slogAllocs},
		{"logr", func() { l.Info("x", "controller", "deployment", "workers", 5) }, logrAllocs},
		{"logr placed", func() { sharedLogr.Info("x", "controller", "deployment", "workers", 5) }, logrAllocs},
		{"log placed", func() { log.Print("x") }, stdAllocs},
		{"zap dropped", func() { z.Debug("x") }, droppedAllocs},
		{"zap placed, dropped", func() { shared.Debug("x") }, droppedAllocs},
		{"slog dropped", func() { s.Debug("x") }, droppedAllocs},
		{"logr dropped", func() { l.V(4).Info("x") }, droppedAllocs},
		{"logr dropped, with values", func() { l.V(4).Info("x", "controller", "deployment") }, droppedWithAllocs},
		{"logr placed, dropped", func() { sharedLogr.V(4).Info("x", "controller", "deployment") }, droppedWithAllocs},
	} {
		db.Do(func() {
			n := testing.AllocsPerRun(1000, test.f)
			t.Logf("%s: %v", test.name, n)
			if n > test.most {
				t.Errorf("%s: %v allocations, want at most %v", test.name, n, test.most)
			}
		})
	}
	// A goroutine of nobody: its stack is looked at, in memory of its own.
	db.Claim("example.com/a", "example.com/b")
	if n := testing.AllocsPerRun(1000, func() { ls.Place() }); n > stackAllocs {
		t.Errorf("Place without a label: %v allocations, want at most %v", n, stackAllocs)
	}
}
