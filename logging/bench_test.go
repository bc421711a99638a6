package logging

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// nowhere takes everything at once, as a file does that need not be written to a disk.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// benchLogs are Logs whose servers have files that are nowhere.
func benchLogs(b *testing.B, names ...string) *Logs {
	ls := New(Config{Files: true})
	b.Cleanup(ls.Close)
	ls.Program().Discard()
	for _, name := range names {
		ls.Server(name).file.Load().open(nowhere{})
	}
	return ls
}

// BenchmarkLine is one line with two fields, by each kind of logger. zap by itself, with what it comes with, is what
// the others are compared to.
func BenchmarkLine(b *testing.B) {
	ls := benchLogs(b, "db")
	db := ls.Server("db")
	ls.TakeDefaults()
	plain := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel), zap.AddCaller())
	z, zWith, s, l := db.Zap(), db.Zap().With(zap.String("a", "b")), db.Slog(), db.Logr()
	shared, sharedLogr := zap.New(ls.Placing(), zap.AddCaller()), logr.New(ls.Sink(nil))
	named := l.WithName("gc").WithValues("a", "b")
	for _, bench := range []struct {
		name string
		log  func()
	}{
		{"zap by itself", func() {
			plain.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5))
		}},
		{"zap", func() { z.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5)) }},
		{"zap With", func() {
			zWith.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5))
		}},
		{"zap placed", func() {
			shared.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5))
		}},
		{"slog", func() { s.Info("Starting controller", "controller", "deployment", "workers", 5) }},
		{"slog placed", func() { slog.Info("Starting controller", "controller", "deployment", "workers", 5) }},
		{"logr", func() { l.Info("Starting controller", "controller", "deployment", "workers", 5) }},
		{"logr with name and values", func() { named.Info("Starting controller", "controller", "deployment", "workers", 5) }},
		{"logr placed", func() { sharedLogr.Info("Starting controller", "controller", "deployment", "workers", 5) }},
		{"log placed", func() { log.Printf("Starting controller %q with %d workers", "deployment", 5) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			db.Do(func() {
				for b.Loop() {
					bench.log()
				}
			})
		})
	}
}

// BenchmarkDropped is a line that nobody wants.
func BenchmarkDropped(b *testing.B) {
	ls := benchLogs(b, "db", "loud", "picky")
	db := ls.Server("db")
	ls.Server("loud").SetLevel(Verbosity(4))
	picky := ls.Server("picky").Logr()
	if err := ls.Server("picky").SetVModule("gc=5"); err != nil {
		b.Fatal(err)
	}
	z, l, s, shared := db.Zap(), db.Logr(), db.Slog(), zap.New(ls.Placing())
	for _, bench := range []struct {
		name string
		log  func()
	}{
		{"zap", func() { z.Debug("Syncing", zap.String("controller", "deployment")) }},
		{"zap placed", func() { shared.Debug("Syncing", zap.String("controller", "deployment")) }},
		{"slog", func() { s.DebugContext(context.Background(), "Syncing", "controller", "deployment") }},
		{"logr", func() { l.V(4).Info("Syncing", "controller", "deployment") }},
		{"logr of a server with vmodule", func() { picky.V(4).Info("Syncing", "controller", "deployment") }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			db.Do(func() {
				for b.Loop() {
					bench.log()
				}
			})
		})
	}
}

func BenchmarkOwner(b *testing.B) {
	newLogs(b, Config{}).Server("db").Do(func() {
		b.ReportAllocs()
		for b.Loop() {
			if Owner() == nil {
				b.Fatal("nobody's")
			}
		}
	})
}

// BenchmarkPlace is for a goroutine with a label, and for one without, whose whole stack is looked at.
func BenchmarkPlace(b *testing.B) {
	ls := newLogs(b, Config{})
	db := ls.Server("db")
	place := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ls.Place()
		}
	}
	b.Run("by the label", func(b *testing.B) { db.Do(func() { place(b) }) })
	b.Run("not at all, without claims", place)
	for i := range 100 { // about as many as the servers of Kubernetes have
		db.Claim(fmt.Sprintf("example.com/some/package/number%d", i))
	}
	b.Run("not at all", place)
	db.Claim("go/ast")
	b.Run("by the code", func(b *testing.B) {
		inGoAST(func() { place(b) })
	})
	b.Run("by the code, far below", func(b *testing.B) {
		inGoAST(func() { below(30, func() { place(b) }) })
	})
}

// BenchmarkServers is what six servers at once get done.
func BenchmarkServers(b *testing.B) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	for _, bench := range []struct {
		name string
		log  func(l *Log) func()
	}{
		{"zap", func(l *Log) func() {
			z := l.Zap()
			return func() { z.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5)) }
		}},
		{"logr", func(l *Log) func() {
			z := l.Logr()
			return func() { z.Info("Starting controller", "controller", "deployment", "workers", 5) }
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ls := benchLogs(b, names...)
			inParallel(b, len(names), func(i int) func() { return bench.log(ls.Server(names[i])) }, func(i int, f func()) { ls.Server(names[i]).Do(f) })
		})
	}
}

// inParallel has n goroutines share the lines of a benchmark, and reports how many there are in a second. Each runs
// what line returns, within within.
func inParallel(b *testing.B, n int, line func(i int) func(), within func(i int, f func())) {
	b.Helper()
	done := make(chan struct{})
	b.ResetTimer()
	for i := range n {
		go within(i, func() {
			log := line(i)
			for range b.N / n {
				log()
			}
			done <- struct{}{}
		})
	}
	for range n {
		<-done
	}
	b.ReportMetric(float64(b.N/n*n)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkRenderer is a line of the console.
func BenchmarkRenderer(b *testing.B) {
	line := []byte(`{"ts":"2026-01-02T03:04:05.678901Z","level":"info","v":2,"server":"controller-manager","logger":"gc","caller":"a/b.go:123","msg":"Starting controller","controller":"deployment","workers":5,"pod":{"name":"web","namespace":"default"}}` + "\n")
	r := &Renderer{Color: true}
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	var text []byte
	for b.Loop() {
		text = r.Append(text[:0], line)
	}
}

// BenchmarkReader reads a large log beside several small ones.
func BenchmarkReader(b *testing.B) {
	dir := b.TempDir()
	var paths []string
	for i, count := range []int{20_000, 10, 10, 10, 10, 0} {
		path := filepath.Join(dir, fmt.Sprint(i, ".log"))
		paths = append(paths, path)
		var text strings.Builder
		for n := range count {
			text.WriteString(lineAt(n, "some message of the usual length"))
		}
		write(b, path, text.String())
	}
	for _, tail := range []int{-1, 10} {
		b.Run(fmt.Sprintf("tail %d", tail), func(b *testing.B) {
			n := 0
			for b.Loop() {
				r := &Reader{Files: files(paths...), Tail: tail}
				if err := r.Read(b.Context(), func([]byte) error { n++; return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
