// Package alertmanager is upstream's Alertmanager as a function: what its package app makes of its library packages.
// That one cannot be imported, as it embeds a web interface that the Go module does not contain. Missing are therefore
// the web interface, and high availability: one process has one Alertmanager.
//
// It knows nothing of the framework.
package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/httpserver"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/labelset"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/alertmanager/tracing"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/test/monitoring/external"
)

// Options are what the flags say.
type Options struct {
	ConfigFile      string
	ListenAddresses []string
	WebConfigFile   string

	dataDir                                                        string
	retention, maintenanceInterval, alertGCInterval                time.Duration
	dispatchMaintenanceInterval, dispatchStartDelay, httpTimeout   time.Duration
	maxSilences, maxSilenceSize, perAlertNameLimit, getConcurrency int
	silenceLogging                                                 bool
	externalURL, routePrefix, corsOrigin, features                 string
}

// AddFlags adds upstream's flags, but those for high availability, of the Go runtime, of the log, of systemd's sockets
// and of the experimental Connect API.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "config.file", "alertmanager.yml", "Alertmanager configuration file name")
	fs.StringVar(&o.dataDir, "storage.path", "data/", "base path for data storage")
	fs.DurationVar(&o.retention, "data.retention", 120*time.Hour, "how long to keep data for")
	fs.DurationVar(&o.maintenanceInterval, "data.maintenance-interval", 15*time.Minute, "interval between garbage collection and snapshotting to disk of the silences and the notification logs")
	fs.IntVar(&o.maxSilences, "silences.max-silences", 0, "maximum number of silences, including expired ones; 0 for no limit")
	fs.IntVar(&o.maxSilenceSize, "silences.max-silence-size-bytes", 0, "maximum silence size in bytes; 0 for no limit")
	fs.BoolVar(&o.silenceLogging, "log.silences", false, "log when the status of a silence changes")
	fs.DurationVar(&o.alertGCInterval, "alerts.gc-interval", 30*time.Minute, "interval between alert GC")
	fs.IntVar(&o.perAlertNameLimit, "alerts.per-alertname-limit", 0, "maximum number of alerts per alertname; 0 for no limit")
	fs.DurationVar(&o.dispatchMaintenanceInterval, "dispatch.maintenance-interval", 30*time.Second, "interval between maintenance of aggregation groups in the dispatcher")
	fs.DurationVar(&o.dispatchStartDelay, "dispatch.start-delay", 0, "minimum amount of time to wait before dispatching alerts")
	fs.StringArrayVar(&o.ListenAddresses, "web.listen-address", []string{":9093"}, "address to expose metrics and web interface on; repeatable")
	fs.StringVar(&o.WebConfigFile, "web.config.file", "", "configuration file that can enable TLS or authentication")
	fs.StringVar(&o.externalURL, "web.external-url", "", "URL under which Alertmanager is externally reachable")
	fs.StringVar(&o.routePrefix, "web.route-prefix", "", "prefix for the internal routes of web endpoints (default: path of --web.external-url)")
	fs.StringVar(&o.corsOrigin, "web.cors.origin", "", "regex for CORS origin, fully anchored; if empty, no CORS headers are sent")
	fs.IntVar(&o.getConcurrency, "web.get-concurrency", 0, "maximum number of GET requests processed concurrently; 0 for GOMAXPROCS or 8, whichever is larger")
	fs.DurationVar(&o.httpTimeout, "web.timeout", 0, "timeout for HTTP requests; 0 for none")
	fs.StringVar(&o.features, "enable-feature", "", "comma-separated experimental features to enable: "+strings.Join(featurecontrol.AllowedFlags, ", "))
}

// Check reports what is wrong with the files that the flags name.
func (o *Options) Check() error {
	if _, err := config.LoadFile(o.ConfigFile); err != nil {
		return err
	}
	return web.Validate(o.WebConfigFile)
}

// server is an Alertmanager: its parts.
type server struct {
	options  *Options
	logger   *slog.Logger
	external *url.URL
	registry *prometheus.Registry // The process may have another one before and after: its metrics are its own.
	features featurecontrol.Flagger
	began    time.Time
	reloads  chan chan error

	notifications *nflog.Log
	silences      *silence.Silences
	silencer      *silence.Silencer
	alerts        *mem.Alerts
	api           *api.API
	metrics       *dispatch.DispatcherMetrics
	pipelines     *notify.PipelineBuilder
	coordinator   *config.Coordinator

	mu         sync.RWMutex // guards what a configuration makes
	dispatcher *dispatch.Dispatcher
	inhibitor  *inhibit.Inhibitor
}

// Run runs an Alertmanager until serve returns, which serves its HTTP until ctx ends; address is where.
func Run(ctx context.Context, o *Options, logger *slog.Logger, address string, serve func(http.Handler) error) (err error) {
	logger.Info("Starting Alertmanager")
	s := &server{options: o, logger: logger, registry: prometheus.NewRegistry(), began: time.Now(), reloads: make(chan chan error)}
	if s.features, err = featurecontrol.NewFlags(logger, o.features); err != nil {
		return err
	}
	compat.InitFromFlags(logger, s.features) // for the whole process
	conf, err := config.LoadFile(o.ConfigFile)
	if err != nil {
		return err
	}
	if s.external, err = external.URL(o.externalURL, address); err != nil {
		return err
	}

	stop := make(chan struct{})
	var maintenance sync.WaitGroup
	defer maintenance.Wait() // it writes what there is to the disk at last
	defer close(stop)
	if err := s.openStores(&maintenance, stop); err != nil {
		return err
	}
	s.alerts, err = mem.NewAlerts(context.WithoutCancel(ctx), o.alertGCInterval, o.perAlertNameLimit, s.silencer, logger, eventrecorder.NopRecorder(), s.registry, s.features)
	if err != nil {
		return err
	}
	defer s.alerts.Close()
	if err := s.makeAPI(); err != nil {
		return err
	}
	defer s.api.Shutdown()
	tracer := tracing.NewManager(logger.With("component", "tracing"))
	go tracer.Run()
	defer tracer.Stop()

	s.metrics = dispatch.NewDispatcherMetrics(false, s.registry, s.features)
	s.pipelines = notify.NewPipelineBuilder(s.registry, s.features, eventrecorder.NopRecorder())
	s.coordinator = config.NewCoordinator(o.ConfigFile, s.registry, logger.With("component", "configuration"))
	s.coordinator.Subscribe(func(conf *config.Config) error {
		return errors.Join(tracer.ApplyConfig(conf.TracingConfig), s.apply(conf))
	})
	defer s.stopDispatch()
	if err := s.coordinator.ApplyConfig(conf); err != nil {
		return err
	}
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go s.reload(serving) // what is asked for until the end is answered
	return serve(s.handler())
}

// openStores opens what is kept on the disk: the silences, and who has been notified of what.
func (s *server) openStores(maintenance *sync.WaitGroup, stop <-chan struct{}) (err error) {
	o := s.options
	if err := os.MkdirAll(o.dataDir, 0o777); err != nil {
		return err
	}
	logFile := filepath.Join(o.dataDir, "nflog")
	s.notifications, err = nflog.New(nflog.Options{
		SnapshotFile: logFile, Retention: o.retention, Logger: s.logger.With("component", "nflog"), Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	maintenance.Go(func() { s.notifications.Maintenance(o.maintenanceInterval, logFile, stop, nil) })

	silenceFile := filepath.Join(o.dataDir, "silences")
	s.silences, err = silence.New(silence.Options{
		SnapshotFile: silenceFile,
		Retention:    o.retention,
		Limits: silence.Limits{
			MaxSilences:         func() int { return o.maxSilences },
			MaxSilenceSizeBytes: func() int { return o.maxSilenceSize },
		},
		Logger:  s.logger.With("component", "silences"),
		Metrics: s.registry,
		Logging: o.silenceLogging,
	})
	if err != nil {
		return err
	}
	maintenance.Go(func() { s.silences.Maintenance(o.maintenanceInterval, silenceFile, stop, nil) })
	s.silencer = silence.NewSilencer(s.silences, s.logger, eventrecorder.NopRecorder())
	return nil
}

// makeAPI makes what answers requests.
func (s *server) makeAPI() error {
	cors, err := api.NewCORSHandler(s.options.corsOrigin)
	if err != nil {
		return fmt.Errorf("--web.cors.origin: %w", err)
	}
	s.api, err = api.New(api.Options{
		Alerts:      s.alerts,
		Silences:    s.silences,
		Timeout:     s.options.httpTimeout,
		Concurrency: s.options.getConcurrency,
		CORSHandler: cors,
		Logger:      s.logger.With("component", "api"),
		Registry:    s.registry,
		RequestDuration: promauto.With(s.registry).NewHistogramVec(prometheus.HistogramOpts{
			Name: "alertmanager_http_request_duration_seconds",
			Help: "Histogram of latencies for HTTP requests.",
		}, []string{"handler", "method", "code"}),
		GroupFunc: s.groups,
	})
	return err
}

// handler is what it serves.
func (s *server) handler() http.Handler {
	prefix := s.options.routePrefix
	if prefix == "" {
		prefix = s.external.Path
	}
	prefix = "/" + strings.Trim(prefix, "/")
	router := route.New()
	if prefix != "/" {
		router.Get("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, prefix, http.StatusFound) })
		router = router.WithPrefix(prefix)
	}
	httpserver.Register(router, s.reloads)
	// Upstream's /metrics shows the process's registry, in which nothing is registered twice.
	mux := http.NewServeMux()
	mux.Handle("GET "+strings.TrimSuffix(prefix, "/")+"/metrics",
		promhttp.HandlerFor(prometheus.Gatherers{prometheus.DefaultGatherer, s.registry}, promhttp.HandlerOpts{}))
	mux.Handle("/", s.api.Register(router, prefix))
	return mux
}

// reload applies the configuration anew when somebody asks for it with POST /-/reload.
func (s *server) reload(ctx context.Context) {
	for {
		select {
		case answer := <-s.reloads:
			answer <- s.coordinator.Reload()
		case <-ctx.Done():
			return
		}
	}
}

// apply makes what the configuration says, in the place of what was there before.
func (s *server) apply(conf *config.Config) error {
	templates, err := template.FromGlobs(conf.Templates)
	if err != nil {
		return err
	}
	templates.ExternalURL = s.external

	routes := dispatch.NewRoute(conf.Route, nil)
	used := map[string]bool{}
	routes.Walk(func(r *dispatch.Route) { used[r.RouteOpts.Receiver] = true })
	receivers := map[string][]notify.Integration{}
	for _, r := range conf.Receivers {
		if !used[r.Name] {
			continue
		}
		if receivers[r.Name], err = receiver.BuildReceiverIntegrations(r, templates, s.logger); err != nil {
			return err
		}
	}
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, i := range conf.MuteTimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	for _, i := range conf.TimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	intervener := timeinterval.NewIntervener(intervals)

	s.stopDispatch()
	wait := func() time.Duration { return 0 } // for peers, of which there are none
	timeout := func(d time.Duration) time.Duration { return max(d, notify.MinTimeout) }
	inhibitor := inhibit.NewInhibitor(s.alerts, conf.InhibitRules, s.logger, eventrecorder.NopRecorder())
	pipeline := s.pipelines.New(receivers, wait, inhibitor, s.silencer, intervener, s.notifications, nil)
	s.api.Update(conf, func(ctx context.Context, labels labelset.LabelSet) {
		inhibitor.Mutes(ctx, labels)
		s.silencer.Mutes(ctx, labels)
	})
	dispatcher := dispatch.NewDispatcher(s.alerts, routes, pipeline, intervener, timeout, s.options.dispatchMaintenanceInterval,
		nil, s.logger, eventrecorder.NopRecorder(), s.metrics, templates)
	// What inhibits is known before anybody is notified.
	go inhibitor.Run()
	inhibitor.WaitForLoading()
	go dispatcher.Run(s.began.Add(s.options.dispatchStartDelay))
	dispatcher.WaitForLoading()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inhibitor, s.dispatcher = inhibitor, dispatcher
	return nil
}

func (s *server) stopDispatch() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.inhibitor != nil {
		s.inhibitor.Stop()
		s.dispatcher.Stop()
	}
}

func (s *server) groups(ctx context.Context, routes func(*dispatch.Route) bool, alerts dispatch.AlertFilter) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dispatcher.Groups(ctx, routes, alerts)
}
