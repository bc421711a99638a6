// Package prometheus is upstream's Prometheus as a function: what cmd/prometheus/main.go makes of its library packages,
// in the same order. Missing are the agent mode, the experimental features of --enable-feature, what finds targets
// elsewhere than in the configuration, in files, by HTTP and DNS, and the web interface, which the Go module does not
// contain.
//
// It knows nothing of the framework.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/dns"
	_ "github.com/prometheus/prometheus/discovery/file"
	_ "github.com/prometheus/prometheus/discovery/http"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tracing"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/logging"
	"github.com/prometheus/prometheus/util/netconnlimit"
	"github.com/prometheus/prometheus/util/notifications"
	"github.com/prometheus/prometheus/web"
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/test/monitoring/external"
)

// server is a Prometheus: its parts.
type server struct {
	options  *Options
	logger   *slog.Logger
	external *url.URL
	registry *prom.Registry // The process may have another one before and after: its metrics are its own.
	parser   parser.Parser
	names    model.ValidationScheme // of metrics

	local                            localStorage
	remote                           *remote.Storage
	storage                          storage.Storage // both
	scrape                           *scrape.Manager
	scrapeDiscovery, notifyDiscovery *discovery.Manager
	notifier                         *notifier.Manager
	engine                           *promql.Engine
	rules                            *rules.Manager
	tracing                          *tracing.Manager
	web                              *web.Handler

	// These do not end with the context of Run, as they end in an order of their own.
	scrapeCtx, notifyCtx, webCtx          context.Context
	cancelScrape, cancelNotify, cancelWeb context.CancelFunc
}

// Run runs a Prometheus until ctx ends, and calls ready when it has read its configuration.
func Run(ctx context.Context, o *Options, logger *slog.Logger, listeners []net.Listener, ready func()) error {
	logger.Info("Starting Prometheus Server")
	conf, err := o.load(logger)
	if err != nil {
		return err
	}
	s := &server{options: o, logger: logger, registry: prom.NewRegistry(), names: conf.GlobalConfig.MetricNameValidationScheme,
		parser: parser.NewParser(parser.Options{}), tracing: tracing.NewManager(logger)}
	if s.external, err = external.URL(o.externalURL, listeners[0].Addr().String()); err != nil {
		return err
	}
	s.scrapeCtx, s.cancelScrape = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cancelScrape()
	s.notifyCtx, s.cancelNotify = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cancelNotify()
	s.webCtx, s.cancelWeb = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cancelWeb()

	if err := s.openStorage(conf); err != nil {
		return fmt.Errorf("opening storage failed: %w", err)
	}
	closeStorage := sync.OnceFunc(func() {
		if err := s.storage.Close(); err != nil {
			logger.Error("Error stopping storage", "err", err)
		}
	})
	defer closeStorage()
	if err := s.makeManagers(); err != nil {
		return err
	}
	if err := s.makeRules(conf); err != nil {
		return err
	}
	defer s.engine.Close()
	if err := s.makeWeb(); err != nil {
		return err
	}
	limit := netconnlimit.NewSharedSemaphore(o.web.MaxConnections)
	limited := make([]net.Listener, len(listeners))
	for i, l := range listeners {
		limited[i] = netconnlimit.SharedLimitListener(l, limit)
	}

	// Interrupts are called in the order of the actors, which is upstream's.
	loaded := make(chan struct{})
	load := sync.OnceFunc(func() { close(loaded) })
	after := func(f func() error) func() error { return func() error { <-loaded; return f() } }
	closed := make(chan struct{})
	var g run.Group
	g.Add(func() error {
		if err := s.apply(); err != nil {
			return err
		}
		load()
		s.web.SetReady(web.Ready)
		s.logger.Info("Server is ready to receive web requests.")
		ready()
		return s.steer(ctx)
	}, func(error) {
		load()
		s.web.SetReady(web.Stopping)
	})
	g.Add(s.scrapeDiscovery.Run, func(error) { s.cancelScrape() })
	g.Add(s.notifyDiscovery.Run, func(error) { s.cancelNotify() })
	g.Add(after(func() error { s.rules.Run(); return nil }), func(error) { s.rules.Stop() })
	g.Add(after(func() error { return s.scrape.Run(s.scrapeDiscovery.SyncCh()) }), func(error) { s.scrape.Stop() })
	g.Add(after(func() error { s.tracing.Run(); return nil }), func(error) { s.tracing.Stop() })
	g.Add(func() error { <-closed; return nil }, func(error) { closeStorage(); close(closed) })
	g.Add(func() error { return s.web.Run(s.webCtx, limited, o.webConfigFile) }, func(error) { s.cancelWeb() })
	g.Add(after(func() error { s.notifier.Run(s.notifyDiscovery.SyncCh()); return nil }), func(error) { s.notifier.Stop() })
	return g.Run()
}

// steer does what is asked for by HTTP, until ctx ends or that is what is asked for.
func (s *server) steer(ctx context.Context) error {
	for {
		select {
		case answer := <-s.web.Reload():
			answer <- s.apply()
		case <-s.web.Quit():
			s.logger.Warn("Received termination request via web service, exiting gracefully...")
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// apply has all parts take the configuration, as it is in the file now. The order matters: managers have it before the
// targets that it names.
func (s *server) apply() error {
	conf, err := s.options.load(s.logger)
	if err != nil {
		return err
	}
	jobs, err := conf.GetScrapeConfigs()
	if err != nil {
		return err
	}
	files, err := ruleFiles(conf)
	if err != nil {
		return err
	}
	targets, alertmanagers := map[string]discovery.Configs{}, map[string]discovery.Configs{}
	for _, job := range jobs {
		targets[job.JobName] = job.ServiceDiscoveryConfigs
	}
	for name, a := range conf.AlertingConfig.AlertmanagerConfigs.ToMap() {
		alertmanagers[name] = a.ServiceDiscoveryConfigs
	}
	return errors.Join(
		s.local.ApplyConfig(conf),
		s.remote.ApplyConfig(conf),
		s.web.ApplyConfig(conf),
		s.scrape.ApplyConfig(conf),
		s.scrapeDiscovery.ApplyConfig(targets),
		s.notifier.ApplyConfig(conf),
		s.notifyDiscovery.ApplyConfig(alertmanagers),
		s.rules.Update(time.Duration(conf.GlobalConfig.EvaluationInterval), files, conf.GlobalConfig.ExternalLabels, s.external.String(), nil),
		s.tracing.ApplyConfig(conf),
	)
}

// openStorage opens the storage. Upstream answers 503 meanwhile; here clients wait.
func (s *server) openStorage(conf *config.Config) error {
	c := conf.StorageConfig.TSDBConfig
	options := tsdb.DefaultOptions()
	options.NoLockfile = s.options.noLockfile
	options.WALCompression = compression.Snappy
	options.RetentionDuration = time.Duration(c.Retention.Time).Milliseconds()
	options.MaxBytes, options.MaxPercentage = int64(c.Retention.Size), c.Retention.Percentage
	options.OutOfOrderTimeWindow = c.OutOfOrderTimeWindow
	longest := 31 * 24 * time.Hour
	if retention := time.Duration(c.Retention.Time); retention > 0 {
		longest = min(longest, retention/10)
	}
	options.MaxBlockDuration = longest.Milliseconds()
	options.FeatureRegistry = features.DefaultRegistry

	s.local.stats = tsdb.NewDBStats()
	var err error
	s.local.DB, err = tsdb.Open(s.options.storagePath, s.logger.With("component", "tsdb"), s.registry, options, s.local.stats)
	if err != nil {
		return err
	}
	s.logger.Info("TSDB started")
	s.remote = remote.NewStorage(s.logger.With("component", "remote"), s.registry, s.local.StartTime, s.options.storagePath,
		time.Duration(s.options.flushTimeout), s, false)
	s.local.SetWriteNotified(s.remote)
	s.storage = storage.NewFanout(s.logger, s.local, s.remote)
	return nil
}

// Get is how the remote storage, which is made before, finds the scrape manager.
func (s *server) Get() (*scrape.Manager, error) {
	if s.scrape == nil {
		return nil, errors.New("scrape manager not ready")
	}
	return s.scrape, nil
}

// makeManagers makes what finds targets and Alertmanagers, and what talks to these.
func (s *server) makeManagers() (err error) {
	options := s.options.scrape
	options.FeatureRegistry = features.DefaultRegistry
	s.scrape, err = scrape.NewManager(&options, s.logger.With("component", "scrape manager"), logging.NewJSONFileLogger, nil, s.storage, s.registry)
	if err != nil {
		return err
	}
	notifierOptions := s.options.notifier
	notifierOptions.Registerer = s.registry
	s.notifier = notifier.NewManager(&notifierOptions, s.names, s.logger.With("component", "notifier"))
	metrics, err := discovery.CreateAndRegisterSDMetrics(s.registry)
	if err != nil {
		return err
	}
	s.scrapeDiscovery = discovery.NewManager(s.scrapeCtx, s.logger.With("component", "discovery manager scrape"), s.registry, metrics, discovery.Name("scrape"))
	s.notifyDiscovery = discovery.NewManager(s.notifyCtx, s.logger.With("component", "discovery manager notify"), s.registry, metrics, discovery.Name("notify"))
	if s.scrapeDiscovery == nil || s.notifyDiscovery == nil {
		return errors.New("failed to create a discovery manager") // it has logged why
	}
	return nil
}

// makeRules makes what answers queries, and what evaluates rules.
func (s *server) makeRules(conf *config.Config) error {
	o := s.options
	tracker, err := promql.NewActiveQueryTracker(o.storagePath, o.queryConcurrency, s.logger.With("component", "activeQueryTracker"))
	if err != nil {
		return err
	}
	interval := time.Duration(conf.GlobalConfig.EvaluationInterval)
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger:                   s.logger.With("component", "query engine"),
		Reg:                      s.registry,
		MaxSamples:               o.queryMaxSamples,
		Timeout:                  time.Duration(o.queryTimeout),
		ActiveQueryTracker:       tracker,
		LookbackDelta:            time.Duration(o.lookbackDelta),
		NoStepSubqueryIntervalFn: func(int64) int64 { return interval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		FeatureRegistry:          features.DefaultRegistry,
		Parser:                   s.parser,
	})
	s.rules = rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme:   s.names,
		AppendableV2:           s.storage,
		Queryable:              s.local,
		QueryFunc:              rules.EngineQueryFunc(s.engine, s.storage),
		NotifyFunc:             rules.SendAlerts(s.notifier, s.external.String()),
		Context:                context.WithoutCancel(s.webCtx), // it is stopped otherwise
		ExternalURL:            s.external,
		Registerer:             s.registry,
		Logger:                 s.logger.With("component", "rule manager"),
		OutageTolerance:        time.Duration(o.outageTolerance),
		ForGracePeriod:         time.Duration(o.forGracePeriod),
		ResendDelay:            time.Duration(o.resendDelay),
		MaxConcurrentEvals:     o.maxConcurrentEvals,
		DefaultRuleQueryOffset: func() time.Duration { return time.Duration(conf.GlobalConfig.RuleQueryOffset) },
		FeatureRegistry:        features.DefaultRegistry,
		Parser:                 s.parser,
	})
	return nil
}

// makeWeb makes what serves the API.
func (s *server) makeWeb() error {
	origin, err := relabel.NewRegexp(s.options.corsOrigin)
	if err != nil {
		return fmt.Errorf("--web.cors.origin: %w", err)
	}
	o := s.options.web
	o.Context = s.webCtx
	o.Registerer, o.Gatherer = s.registry, prom.Gatherers{prom.DefaultGatherer, s.registry}
	o.FeatureRegistry = features.DefaultRegistry
	o.LocalStorage, o.ExemplarStorage, o.Storage = s.local, s.local, s.storage
	o.TSDBDir = s.options.storagePath
	o.QueryEngine, o.Parser = s.engine, s.parser
	o.ScrapeManager, o.RuleManager, o.Notifier = s.scrape, s.rules, s.notifier
	o.LookbackDelta, o.QueryTimeout = time.Duration(s.options.lookbackDelta), time.Duration(s.options.queryTimeout)
	o.ReadTimeout, o.ListenAddresses = time.Duration(s.options.readTimeout), s.options.ListenAddresses
	o.CORSOrigin, o.ExternalURL = origin.Regexp, s.external
	if o.RoutePrefix == "" {
		o.RoutePrefix = s.external.Path
	}
	o.RoutePrefix = "/" + strings.Trim(o.RoutePrefix, "/")
	o.AcceptRemoteWriteProtoMsgs = remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}
	o.AppName = "Prometheus Server"
	o.Version = &web.PrometheusVersion{Version: version.Version, GoVersion: version.GoVersion}
	o.Flags = map[string]string{}
	s.options.flags.VisitAll(func(f *pflag.Flag) { o.Flags[f.Name] = f.Value.String() })
	notes := notifications.NewNotifications(s.options.maxSubscribers, s.registry)
	o.NotificationsSub, o.NotificationsGetter = notes.Sub, notes.Get
	s.web = web.New(s.logger.With("component", "web"), &o)
	return nil
}

// localStorage is the storage as the web handler wants it.
type localStorage struct {
	*tsdb.DB
	stats *tsdb.DBStats
}

func (s localStorage) Stats(label string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(label, limit), nil
}
func (s localStorage) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }
func (s localStorage) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return s.stats.Head.WALReplayStatus.GetWALReplayStatus(), nil
}

// ruleFiles are the files that the patterns of the configuration match.
func ruleFiles(conf *config.Config) (files []string, err error) {
	for _, pattern := range conf.RuleFiles {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("rule_files: %s: %w", pattern, err)
		}
		files = append(files, found...)
	}
	return files, nil
}
