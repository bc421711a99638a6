package admin

import (
	"context"
	"net/http"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// metrics answers with what Prometheus reads. The names begin with the binary's.
func (a *API) metrics() http.Handler {
	// A registry of its own: the default one is full of what the servers' code has registered.
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(a), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4}) // each costs a profile
}

// collector makes metrics of the servers' status and usage at the moment when it is asked.
type collector struct {
	api                                                  *API
	state, restarts, start, lines, lost, goroutines, cpu *prometheus.Desc
}

// notInMetrics matches what the name of a binary may have in it, but that of a metric may not.
var notInMetrics = regexp.MustCompile(`^[0-9]|[^A-Za-z0-9_]`)

func metricPrefix(program string) string { return notInMetrics.ReplaceAllString(program, "_") }

func newCollector(a *API) *collector {
	prefix := metricPrefix(a.run.Program)
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(prefix, "server", name), help, append([]string{"server"}, labels...), nil)
	}
	return &collector{
		api:        a,
		state:      desc("state", "The state of the server: 1 for the one that it is in, 0 for all others.", "state"),
		restarts:   desc("restarts_total", "How often the server was started after the first time."),
		start:      desc("start_duration_seconds", "How long the last start took until the server was ready."),
		lines:      desc("log_lines_total", "Lines that the server has logged.", "level"),
		lost:       desc("log_lines_lost_total", "Lines that the server has logged and that could not be kept, because a file or the screen did not take them."),
		goroutines: desc("goroutines", "Goroutines that belong to the server."),
		cpu:        desc("cpu_seconds_total", "CPU time of the server's goroutines, since it was asked for the first time."),
	}
}

func (col *collector) Describe(all chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{col.state, col.restarts, col.start, col.lines, col.lost, col.goroutines, col.cpu} {
		all <- d
	}
}

func (col *collector) Collect(all chan<- prometheus.Metric) {
	// Even with an error, usage has what is known.
	usage, err := col.api.usage(context.Background())
	if err != nil {
		col.api.run.Logs.Program().Zap().Debug("the metrics lack something", zap.Error(err))
	}

	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for _, s := range col.api.status().Servers {
		for state := life.Waiting; state <= life.Failed; state++ {
			value := 0.0
			if state == s.State {
				value = 1
			}
			send(col.state, prometheus.GaugeValue, value, s.Name, state.String())
		}
		send(col.restarts, prometheus.CounterValue, float64(s.Restarts), s.Name)
		if s.StartSeconds > 0 {
			send(col.start, prometheus.GaugeValue, s.StartSeconds, s.Name)
		}
	}
	for _, u := range usage.Servers {
		send(col.goroutines, prometheus.GaugeValue, float64(u.Goroutines), u.Name)
		send(col.cpu, prometheus.CounterValue, u.CPUSeconds, u.Name)
	}
	for _, l := range col.api.run.Logs.All() {
		n := l.Counts()
		for level, lines := range map[string]int64{"debug": n.Debug, "info": n.Info, "warn": n.Warn, "error": n.Error, "fatal": n.Fatal} {
			send(col.lines, prometheus.CounterValue, float64(lines), l.Name(), level)
		}
		send(col.lost, prometheus.CounterValue, float64(n.Lost), l.Name())
	}
}
