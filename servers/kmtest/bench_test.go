package kmtest_test

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
)

// BenchmarkInProcess tells how long a cluster takes in the process of a test, and a second one beside it, and how much
// memory that takes. Only the first call in a process is about the first one: give it -benchtime=1x.
func BenchmarkInProcess(b *testing.B) { inProcess(b, "apiserver") }

// BenchmarkWholeInProcess is the same for clusters with controllers, a scheduler and a node.
func BenchmarkWholeInProcess(b *testing.B) { inProcess(b) }

func inProcess(b *testing.B, servers ...string) {
	c := kmtest.Config{Servers: servers, New: km.New}
	for range b.N {
		begin := time.Now()
		kmtest.Start(b, c)
		first := time.Since(begin)
		before := anonymous(b)
		begin = time.Now()
		kmtest.Start(b, c)
		b.ReportMetric(first.Seconds(), "first-s")
		b.ReportMetric(time.Since(begin).Seconds(), "second-s")
		b.ReportMetric(anonymous(b)-before, "second-MB")
	}
}

// anonymous is the memory of this process, in megabytes, without pages of files and garbage.
func anonymous(b *testing.B) float64 {
	b.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB * 1024 / 1e6
}
