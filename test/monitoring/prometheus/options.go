package prometheus

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/web"
	"github.com/spf13/pflag"
)

// Options are what the flags say.
type Options struct {
	ConfigFile      string
	ListenAddresses []string

	flags                                                  *pflag.FlagSet
	retentionOnce                                          sync.Once
	storagePath, webConfigFile, externalURL, corsOrigin    string
	web                                                    web.Options
	notifier                                               notifier.Options
	scrape                                                 scrape.Options
	retention                                              config.TSDBRetentionConfig
	noLockfile                                             bool
	outageTolerance, forGracePeriod, resendDelay           model.Duration
	readTimeout, lookbackDelta, queryTimeout, flushTimeout model.Duration
	maxConcurrentEvals                                     int64
	queryConcurrency, queryMaxSamples, maxSubscribers      int
}

// AddFlags adds upstream's flags, but those of what is missing, of the Go runtime and of the log.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.flags = fs
	seconds := func(n int) *model.Duration { d := model.Duration(n) * model.Duration(time.Second); return &d }
	fs.StringVar(&o.ConfigFile, "config.file", "prometheus.yml", "Prometheus configuration file path")

	fs.StringArrayVar(&o.ListenAddresses, "web.listen-address", []string{"0.0.0.0:9090"}, "address to listen on for UI, API, and telemetry; repeatable")
	fs.StringVar(&o.webConfigFile, "web.config.file", "", "configuration file that can enable TLS or authentication")
	fs.TextVar(&o.readTimeout, "web.read-timeout", seconds(300), "maximum duration before timing out read of the request, and closing idle connections")
	fs.IntVar(&o.web.MaxConnections, "web.max-connections", 512, "maximum number of simultaneous connections across all listeners")
	fs.IntVar(&o.maxSubscribers, "web.max-notifications-subscribers", 16, "maximum number of subscribers that can concurrently receive live notifications")
	fs.StringVar(&o.externalURL, "web.external-url", "", "URL under which Prometheus is externally reachable")
	fs.StringVar(&o.web.RoutePrefix, "web.route-prefix", "", "prefix for the internal routes of web endpoints (default: path of --web.external-url)")
	fs.StringVar(&o.web.UserAssetsPath, "web.user-assets", "", "path to static asset directory, available at /user")
	fs.BoolVar(&o.web.EnableLifecycle, "web.enable-lifecycle", false, "enable shutdown and reload via HTTP request")
	fs.BoolVar(&o.web.EnableAdminAPI, "web.enable-admin-api", false, "enable API endpoints for admin control actions")
	fs.BoolVar(&o.web.EnableRemoteWriteReceiver, "web.enable-remote-write-receiver", false, "enable API endpoint accepting remote write requests")
	fs.BoolVar(&o.web.EnableOTLPWriteReceiver, "web.enable-otlp-receiver", false, "enable API endpoint accepting OTLP write requests")
	fs.StringVar(&o.web.ConsoleTemplatesPath, "web.console.templates", "consoles", "path to the console template directory, available at /consoles")
	fs.StringVar(&o.web.ConsoleLibrariesPath, "web.console.libraries", "console_libraries", "path to the console library directory")
	fs.StringVar(&o.web.PageTitle, "web.page-title", "Prometheus Time Series Collection and Processing Server", "document title of Prometheus instance")
	fs.StringVar(&o.corsOrigin, "web.cors.origin", ".*", "regex for CORS origin, fully anchored")

	fs.StringVar(&o.storagePath, "storage.tsdb.path", "data/", "base path for metrics storage")
	fs.TextVar(&o.retention.Time, "storage.tsdb.retention.time", seconds(0), "how long to retain samples in storage (default: 15d, if there is no size either)")
	fs.TextVar(&o.retention.Size, "storage.tsdb.retention.size", units.Base2Bytes(0), "maximum number of bytes that can be stored for blocks, such as 512MB")
	fs.BoolVar(&o.noLockfile, "storage.tsdb.no-lockfile", false, "do not create lockfile in data directory")
	fs.TextVar(&o.flushTimeout, "storage.remote.flush-deadline", seconds(60), "how long to wait flushing sample on shutdown or config reload")
	fs.IntVar(&o.web.RemoteReadSampleLimit, "storage.remote.read-sample-limit", 5e7, "maximum number of samples to return via the remote read interface, in a single query; 0 for no limit")
	fs.IntVar(&o.web.RemoteReadConcurrencyLimit, "storage.remote.read-concurrent-limit", 10, "maximum number of concurrent remote read calls; 0 for no limit")
	fs.IntVar(&o.web.RemoteReadBytesInFrame, "storage.remote.read-max-bytes-in-frame", 1<<20, "maximum number of bytes in a single frame for streaming remote read response types")

	fs.TextVar(&o.outageTolerance, "rules.alert.for-outage-tolerance", seconds(3600), "max time to tolerate prometheus outage for restoring \"for\" state of alert")
	fs.TextVar(&o.forGracePeriod, "rules.alert.for-grace-period", seconds(600), "minimum duration between alert and restored \"for\" state")
	fs.TextVar(&o.resendDelay, "rules.alert.resend-delay", seconds(60), "minimum amount of time to wait before resending an alert to Alertmanager")
	fs.Int64Var(&o.maxConcurrentEvals, "rules.max-concurrent-evals", 4, "global concurrency limit for independent rules that can run concurrently")
	fs.IntVar(&o.notifier.QueueCapacity, "alertmanager.notification-queue-capacity", 10000, "capacity of the queue for pending Alertmanager notifications")
	fs.IntVar(&o.notifier.MaxBatchSize, "alertmanager.notification-batch-size", notifier.DefaultMaxBatchSize, "maximum number of notifications per batch to send to the Alertmanager")
	fs.BoolVar(&o.notifier.DrainOnShutdown, "alertmanager.drain-notification-queue-on-shutdown", true, "send any outstanding Alertmanager notifications when shutting down")

	fs.TextVar(&o.lookbackDelta, "query.lookback-delta", seconds(300), "maximum lookback duration for retrieving metrics during expression evaluations and federation")
	fs.TextVar(&o.queryTimeout, "query.timeout", seconds(120), "maximum time a query may take before being aborted")
	fs.IntVar(&o.queryConcurrency, "query.max-concurrency", 20, "maximum number of queries executed concurrently")
	fs.IntVar(&o.queryMaxSamples, "query.max-samples", 50000000, "maximum number of samples a single query can load into memory")

	fs.TextVar(&o.scrape.DiscoveryReloadInterval, "scrape.discovery-reload-interval", seconds(5), "interval used by scrape manager to throttle target groups updates")
	if err := fs.MarkHidden("scrape.discovery-reload-interval"); err != nil {
		panic(err) // there is no such flag
	}
}

// load reads the configuration.
func (o *Options) load(logger *slog.Logger) (*config.Config, error) {
	o.retentionOnce.Do(func() { // the default is a variable of the package
		if o.retention.Time == 0 && o.retention.Size == 0 {
			o.retention.Time = model.Duration(15 * 24 * time.Hour)
		}
		config.DefaultTSDBRetentionConfig = o.retention
	})
	conf, err := config.LoadFile(o.ConfigFile, false, logger)
	return conf, err
}

// Check reports what is wrong with the files that the flags name.
func (o *Options) Check() error {
	conf, err := o.load(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	_, scrapeErr := conf.GetScrapeConfigs()
	rulesErr := rules.ParseFiles(conf.RuleFiles, conf.GlobalConfig.MetricNameValidationScheme, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	return errors.Join(scrapeErr, rulesErr, toolkit.Validate(o.webConfigFile))
}
