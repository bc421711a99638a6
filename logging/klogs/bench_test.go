package klogs

import (
	"context"
	"io"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// nowhere takes everything at once, as a file does that need not be written to a disk.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// klogAlone has klog write its own text to nowhere, as a component of Kubernetes does by itself.
func klogAlone(b *testing.B) {
	b.Helper()
	before := klog.CaptureState()
	b.Cleanup(before.Restore)
	klog.ClearLogger()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
}

// BenchmarkLine is one line with two values. zap and klog by themselves are what the others are compared to.
func BenchmarkLine(b *testing.B) {
	structured := func() { klog.InfoS("Starting controller", "controller", "deployment", "workers", 5) }
	formatted := func() { klog.Infof("Starting controller %q with %d workers", "deployment", 5) }
	run := func(b *testing.B, log func()) {
		b.ReportAllocs()
		for b.Loop() {
			log()
		}
	}
	b.Run("zap by itself", func(b *testing.B) {
		plain := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel), zap.AddCaller())
		run(b, func() {
			plain.Info("Starting controller", zap.String("controller", "deployment"), zap.Int("workers", 5))
		})
	})
	b.Run("klog by itself, structured", func(b *testing.B) { klogAlone(b); run(b, structured) })
	b.Run("klog by itself, formatted", func(b *testing.B) { klogAlone(b); run(b, formatted) })
	ours := func(b *testing.B) *logging.Log {
		ls, _ := install(b, logging.Config{Out: nowhere{}, Format: logging.FormatJSON})
		return ls.Server("db")
	}
	b.Run("structured", func(b *testing.B) { ours(b).Do(func() { run(b, structured) }) })
	b.Run("formatted", func(b *testing.B) { ours(b).Do(func() { run(b, formatted) }) })
	b.Run("warning", func(b *testing.B) { ours(b).Do(func() { run(b, func() { klog.Warning("beware") }) }) })
	b.Run("contextual", func(b *testing.B) {
		db := ours(b)
		logger := klog.FromContext(logr.NewContext(context.Background(), db.Logr())).WithName("gc").WithValues("a", "b")
		db.Do(func() {
			run(b, func() { logger.Info("Starting controller", "controller", "deployment", "workers", 5) })
		})
	})
	b.Run("object", func(b *testing.B) {
		pod := &object{"default", "web"}
		ours(b).Do(func() { run(b, func() { klog.InfoS("Starting", "pod", klog.KObj(pod)) }) })
	})
	b.Run("console", func(b *testing.B) {
		ls, _ := install(b, logging.Config{Out: nowhere{}})
		ls.Server("db").Do(func() { run(b, structured) })
	})
}

// BenchmarkDropped is a line that the server does not want: neither it nor any other; or another one wants it, so that
// klog lets it through.
func BenchmarkDropped(b *testing.B) {
	for _, bench := range []struct {
		name string
		loud bool
		text string // of another server's vmodule
		log  func()
	}{
		{"by all", false, "", func() { klog.V(4).InfoS("Syncing", "controller", "deployment") }},
		{"by all, with a vmodule", false, "gc=5", func() { klog.V(4).InfoS("Syncing", "controller", "deployment") }},
		{"by the server", true, "", func() { klog.V(4).InfoS("Syncing", "controller", "deployment") }},
		{"by the server, formatted", true, "", func() { klog.V(4).Infof("Syncing %s", "deployment") }},
		{"by the server, contextual", true, "", func() { klog.Background().V(4).Info("Syncing", "controller", "deployment") }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ls, out := install(b, logging.Config{Level: zapcore.WarnLevel})
			other := ls.Server("other")
			if bench.loud {
				other.SetLevel(logging.Verbosity(4))
			}
			if err := other.SetVModule(bench.text); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			ls.Server("db").Do(func() {
				for b.Loop() {
					bench.log()
				}
			})
			if text := written(ls, out); text != "" {
				b.Errorf("it has been written: %s", text)
			}
		})
	}
}

// BenchmarkServers is what six servers at once get done in a second, beside what klog by itself does.
func BenchmarkServers(b *testing.B) {
	const servers = 6
	names := []string{"a", "b", "c", "d", "e", "f"}
	structured := func() { klog.InfoS("Starting controller", "controller", "deployment", "workers", 5) }
	formatted := func() { klog.Infof("Starting controller %q with %d workers", "deployment", 5) }
	run := func(b *testing.B, within func(i int, f func()), log func()) {
		done := make(chan struct{})
		b.ResetTimer()
		for i := range servers {
			go within(i, func() {
				for range b.N / servers {
					log()
				}
				done <- struct{}{}
			})
		}
		for range servers {
			<-done
		}
		b.ReportMetric(float64(b.N/servers*servers)/b.Elapsed().Seconds(), "lines/s")
	}
	for _, bench := range []struct {
		name string
		log  func()
	}{{"structured", structured}, {"formatted", formatted}} {
		b.Run("klog by itself, "+bench.name, func(b *testing.B) {
			klogAlone(b)
			run(b, func(_ int, f func()) { f() }, bench.log)
		})
		b.Run("files, "+bench.name, func(b *testing.B) {
			dir := b.TempDir() // first, so that it is removed last
			ls, _ := install(b, logging.Config{Files: true})
			ls.Program().Discard()
			for _, name := range names {
				if err := ls.Server(name).Open(logging.File{Path: dir + "/" + name + ".log", MaxBackups: 1}); err != nil {
					b.Fatal(err)
				}
			}
			run(b, func(i int, f func()) { ls.Server(names[i]).Do(f) }, bench.log)
		})
		b.Run("one screen, "+bench.name, func(b *testing.B) {
			ls, _ := install(b, logging.Config{Out: nowhere{}, Format: logging.FormatJSON})
			run(b, func(i int, f func()) { ls.Server(names[i]).Do(f) }, bench.log)
		})
	}
}
