// Package nodeexporter is upstream's node_exporter as a handler: what its main makes of its package collector.
//
// It knows nothing of the framework.
package nodeexporter

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	promcollectors "github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/node_exporter/collector"
)

// New returns the handler of a node_exporter.
func New(o *Options, logger *slog.Logger) (http.Handler, error) {
	if _, err := kingpin.CommandLine.Parse(o.collectors); err != nil {
		return nil, err
	}
	if o.noDefaults {
		collector.DisableDefaultCollectors()
	}
	logger.Info("Starting node_exporter")
	h := &handler{options: o, logger: logger, own: prometheus.NewRegistry()}
	if !o.noOwn {
		h.own.MustRegister(promcollectors.NewProcessCollector(promcollectors.ProcessCollectorOpts{}), promcollectors.NewGoCollector())
	}
	var err error
	if h.all, err = h.filtered(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(o.metricsPath, h)
	if o.metricsPath != "/" {
		landing, err := web.NewLandingPage(web.LandingConfig{
			Name: "Node Exporter", Description: "Prometheus Node Exporter", Version: version.Info(),
			Links: []web.LandingLinks{{Address: o.metricsPath, Text: "Metrics"}},
		})
		if err != nil {
			return nil, err
		}
		mux.Handle("/", landing)
	}
	return mux, nil
}

// handler shows the metrics of all collectors, or those that a request names.
type handler struct {
	options *Options
	logger  *slog.Logger
	own     *prometheus.Registry // of the exporter itself
	all     http.Handler
	enabled []string // collectors
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	collects, excludes := r.URL.Query()["collect[]"], r.URL.Query()["exclude[]"]
	switch {
	case len(collects) == 0 && len(excludes) == 0:
		h.all.ServeHTTP(w, r)
		return
	case len(collects) > 0 && len(excludes) > 0:
		http.Error(w, "Combined collect and exclude queries are not allowed.", http.StatusBadRequest)
		return
	case len(excludes) > 0:
		collects = slices.DeleteFunc(slices.Clone(h.enabled), func(name string) bool { return slices.Contains(excludes, name) })
	}
	some, err := h.filtered(collects...)
	if err != nil {
		http.Error(w, fmt.Sprintf("Couldn't create filtered metrics handler: %s", err), http.StatusBadRequest)
		return
	}
	some.ServeHTTP(w, r)
}

func (h *handler) filtered(names ...string) (http.Handler, error) {
	node, err := collector.NewNodeCollector(h.logger, names...)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		h.enabled = slices.SortedFunc(maps.Keys(node.Collectors), cmp.Compare[string])
		h.logger.Info("Enabled collectors", "collectors", h.enabled)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(versioncollector.NewCollector("node_exporter"), node)
	options := promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(h.logger.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: h.options.maxRequests,
	}
	if h.options.noOwn {
		return promhttp.HandlerFor(registry, options), nil
	}
	options.Registry = h.own
	return promhttp.InstrumentMetricHandler(h.own, promhttp.HandlerFor(prometheus.Gatherers{h.own, registry}, options)), nil
}
