package envtest

import (
	"os"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// BenchmarkEnvironment tells how long envtest's own Start and Stop take: with km's links, and with upstream's binaries
// in the folder that APART names.
func BenchmarkEnvironment(b *testing.B) {
	for _, side := range []struct{ name, dir string }{{"km", links}, {"apart", os.Getenv("APART")}} {
		b.Run(side.name, func(b *testing.B) {
			if side.dir == "" {
				b.Skip("APART does not say where upstream's binaries are")
			}
			var started, stopped time.Duration
			for range b.N {
				env := &envtest.Environment{BinaryAssetsDirectory: side.dir, ControlPlaneStartTimeout: upstream, ControlPlaneStopTimeout: upstream}
				begin := time.Now()
				if _, err := env.Start(); err != nil {
					b.Fatal(err, env.Stop())
				}
				started += time.Since(begin)
				begin = time.Now()
				if err := env.Stop(); err != nil {
					b.Fatal(err)
				}
				stopped += time.Since(begin)
			}
			b.ReportMetric(started.Seconds()/float64(b.N), "start-s")
			b.ReportMetric(stopped.Seconds()/float64(b.N), "stop-s")
		})
	}
}
