//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// benchmarks are names in logging/klogs of a line by zap alone, by klog alone, and by klog through km's loggers.
const zapAlone, klogAlone, klogByKM = "zap_by_itself", "klog_by_itself,_structured", "structured"

// measureLine runs Go benchmarks of a log line. What zap alone takes for the same line is taken off.
func (b *bench) measureLine(ctx context.Context) {
	const pattern = "^BenchmarkLine$/^(" + zapAlone + "|" + klogAlone + "|" + klogByKM + ")$"
	for range b.runs {
		text, err := output(ctx, goCommand(ctx, "test", "-run=^$", "-bench="+pattern, "-benchmem", "-count=3", "./logging/klogs"))
		if err != nil {
			b.results.failed("km", err, "klog", "klog-allocs")
			b.results.failed("klog", err, "klog", "klog-allocs")
			return
		}
		found := parseBenchmarks(text)
		for _, m := range []struct{ row, unit string }{{"klog", "ns/op"}, {"klog-allocs", "allocs/op"}} {
			for side, name := range map[string]string{"km": klogByKM, "klog": klogAlone} {
				zap, there := found[zapAlone][m.unit]
				line, too := found[name][m.unit]
				if !there || !too {
					b.results.failed(side, fmt.Errorf("there is no %s of the benchmarks %s and %s in logging/klogs", m.unit, name, zapAlone), m.row)
					continue
				}
				b.results.add(m.row, side, line-zap)
			}
		}
	}
}

// parseBenchmarks reads what `go test -bench` prints: values by unit, by the last part of the benchmark's name. Of
// several the least counts: what disturbs a benchmark only makes it slower.
func parseBenchmarks(text string) map[string]map[string]float64 {
	found := map[string]map[string]float64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0][strings.LastIndex(fields[0], "/")+1:]
		if i := strings.LastIndex(name, "-"); i > 0 {
			name = name[:i] // without the number of CPUs
		}
		if found[name] == nil {
			found[name] = map[string]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				continue
			}
			if least, there := found[name][fields[i+1]]; there {
				value = min(value, least)
			}
			found[name][fields[i+1]] = value
		}
	}
	return found
}

// runOnce runs a benchmark of a test binary once, in a process of its own, with further variables, and returns what
// parseBenchmarks reads.
func (b *bench) runOnce(ctx context.Context, test, benchmark string, env ...string) (map[string]map[string]float64, error) {
	cmd := exec.CommandContext(ctx, test, "-test.run=^$", "-test.bench=^"+benchmark+"$", "-test.benchtime=1x")
	cmd.Dir, cmd.Env = b.work, append(os.Environ(), env...)
	text, err := output(ctx, cmd)
	return parseBenchmarks(text), err
}

// measureEnvtest measures envtest's own start and stop, with km's links and with upstream's binaries.
func (b *bench) measureEnvtest(ctx context.Context) {
	const start, stop = "envtest-start", "envtest-stop"
	err := b.buildUpstream(ctx, "etcd", "kube-apiserver", "kubectl")
	test := filepath.Join(b.work, "envtest.test")
	if err == nil {
		build := goCommand(ctx, "test", "-c", "-o", test, ".")
		build.Dir = filepath.Join("test", "envtest")
		_, err = output(ctx, build)
	}
	for range b.runs {
		if err != nil {
			break
		}
		var found map[string]map[string]float64
		if found, err = b.runOnce(ctx, test, "BenchmarkEnvironment", "KM="+b.km, "APART="+b.apart); err != nil {
			break
		}
		for _, side := range withApart {
			for row, unit := range map[string]string{start: "start-s", stop: "stop-s"} {
				if value, ok := found[side][unit]; ok {
					b.results.add(row, side, value)
				} else {
					b.results.failed(side, errors.New("the benchmark in test/envtest tells nothing of it"), row)
				}
			}
		}
	}
	if err != nil {
		for _, side := range withApart {
			b.results.failed(side, err, start, stop)
		}
	}
}

// measureInProcess measures clusters in the process of a test, which is another process each time.
func (b *bench) measureInProcess(ctx context.Context) {
	rows := map[string]string{"process-first": "first-s", "process-second": "second-s", "process-second-memory": "second-MB"}
	test := filepath.Join(b.work, "kmtest.test")
	_, err := output(ctx, goCommand(ctx, "test", "-c", "-ldflags=-s -w", "-o", test, "./servers/kmtest"))
	for range b.runs {
		if err != nil {
			break
		}
		var found map[string]map[string]float64
		if found, err = b.runOnce(ctx, test, "BenchmarkInProcess"); err != nil {
			break
		}
		for row, unit := range rows {
			if value, ok := found["BenchmarkInProcess"][unit]; ok {
				b.results.add(row, "km", value)
			} else {
				b.results.failed("km", errors.New("the benchmark in servers/kmtest tells nothing of it"), row)
			}
		}
	}
	if err != nil {
		for row := range rows {
			b.results.failed("km", err, row)
		}
	}
}

// linesLogged is what TestEachLineIsItsServers tells with -v.
var linesLogged = regexp.MustCompile(`all servers: (\d+) lines; of (\d+) that say whose they are, (\d+) are not in the right file`)

// measureLines runs the end-to-end test that looks in which server's log each line of two full runs is.
func (b *bench) measureLines(ctx context.Context) {
	cmd := goCommand(ctx, "test", "-count=1", "-v", "-run=^TestEachLineIsItsServers$", "./test/e2e")
	cmd.Env = append(cmd.Env, "KM="+b.km)
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, os.Stderr
	err := cmd.Run()
	match := linesLogged.FindStringSubmatch(text.String())
	if match == nil {
		err = errors.Join(errors.New("TestEachLineIsItsServers in test/e2e does not tell how many lines there were"), err)
		b.results.failed("km", err, "lines")
		return
	}
	if err != nil {
		b.results.note("lines: TestEachLineIsItsServers in test/e2e has failed: %v", err)
	}
	told, _ := strconv.ParseFloat(match[2], 64)
	astray, _ := strconv.ParseFloat(match[3], 64)
	if told == 0 {
		b.results.failed("km", errors.New("no line says whose it is"), "lines")
		return
	}
	b.results.add("lines", "km", 100*(told-astray)/told)
	b.results.note("lines: %s", match[0])
}
