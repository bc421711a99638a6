package klogs

import (
	"testing"

	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// A line that klog writes, its server looked up by the goroutine.
func BenchmarkPlacedLine(b *testing.B) {
	ls, out := install(b, zapcore.InfoLevel, logging.FormatConsole)
	ls.Server("db").Do(func() {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			klog.InfoS("Starting controller", "controller", "deployment", "workers", 5)
			if n++; n%1000 == 0 {
				out.take() // what is kept is not what is measured
			}
		}
	})
}

// A line of a server that does not want it, while klog's own level lets it through for another server.
func BenchmarkDroppedLine(b *testing.B) {
	ls, out := install(b, zapcore.WarnLevel, logging.FormatConsole)
	ls.Server("loud").Level().SetLevel(logging.Verbosity(4))
	SetVerbosity(ls)
	ls.Server("db").Do(func() {
		b.ReportAllocs()
		for b.Loop() {
			klog.V(4).InfoS("Syncing", "controller", "deployment")
		}
	})
	if text := out.take(); text != "" {
		b.Errorf("it has been written: %s", text)
	}
}
