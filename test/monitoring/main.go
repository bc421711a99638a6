// Command prom is Prometheus, Alertmanager and node_exporter in one binary: an example of what a team writes that has
// servers of its own, and puts them on the packages supervisor and logging.
package main

import (
	"context"
	"net/http"
	"os"

	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/test/monitoring/alertmanager"
	"github.com/seed-200a7251/km/test/monitoring/nodeexporter"
	"github.com/seed-200a7251/km/test/monitoring/prometheus"
)

func main() {
	hk := &supervisor.HyperKube{
		Name:    "prom",
		Long:    "prom is Prometheus, with an Alertmanager and a node exporter beside it, in one process.",
		Version: versions,
		Banner:  banner,
	}
	hk.AddServer(newNodeExporter())
	hk.AddServer(newAlertmanager())
	hk.AddServer(newPrometheus())
	hk.RunToExit(os.Args)
}

func newNodeExporter() *supervisor.Server {
	o := &nodeexporter.Options{}
	s := &supervisor.Server{
		SimpleUsage: "node-exporter",
		Aliases:     []string{"node_exporter"},
		Long:        "The node exporter shows metrics of this machine.",
		Packages:    []string{"github.com/prometheus/node_exporter"},
		Ports:       ports,
		Defaults: func(_ *supervisor.Plan, s *supervisor.Server) error {
			return s.Default(listenFlag, "127.0.0.1:9100")
		},
		Check: checkFiles(nil),
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			handler, err := nodeexporter.New(o, s.Slog())
			if err != nil {
				return err
			}
			return serveHTTP(ctx, s, handler)
		},
	}
	o.AddFlags(s.Flags())
	return s
}

func newAlertmanager() *supervisor.Server {
	o := &alertmanager.Options{}
	s := &supervisor.Server{
		SimpleUsage: "alertmanager",
		Long:        "The Alertmanager groups alerts and notifies people of them.",
		Packages:    []string{"github.com/prometheus/alertmanager"},
		Ports:       ports,
		State:       []string{"alertmanager", "alertmanager.yml"},
		Defaults: func(p *supervisor.Plan, s *supervisor.Server) error {
			return s.Default(listenFlag, "127.0.0.1:9093",
				"config.file", p.Path("alertmanager.yml"), "storage.path", p.Path("alertmanager"))
		},
		Check:   checkFiles(o.Check),
		Prepare: writeAlertmanagerConfig,
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			serve := func(handler http.Handler) error { return serveHTTP(ctx, s, handler) }
			return alertmanager.Run(ctx, o, s.Slog(), s.ListenAddress(listenFlag), serve)
		},
	}
	o.AddFlags(s.Flags())
	return s
}

func newPrometheus() *supervisor.Server {
	o := &prometheus.Options{}
	s := &supervisor.Server{
		SimpleUsage: "prometheus",
		Long:        "Prometheus collects metrics, and sends alerts to the Alertmanager.",
		Needs:       []supervisor.Need{{Server: "alertmanager", Unless: []string{"config.file"}}}, // it says where
		Packages:    []string{"github.com/prometheus/prometheus"},
		Ports:       ports,
		State:       []string{"prometheus", "prometheus.yml", "rules.yml"},
		Defaults: func(p *supervisor.Plan, s *supervisor.Server) error {
			return s.Default(listenFlag, "127.0.0.1:9090",
				"config.file", p.Path("prometheus.yml"), "storage.tsdb.path", p.Path("prometheus"))
		},
		Check:   checkFiles(o.Check),
		Prepare: writePrometheusConfig,
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			opened, err := s.Listeners(listenFlag)
			if err != nil {
				return err
			}
			return prometheus.Run(ctx, o, s.Slog(), opened, s.MarkReady)
		},
	}
	o.AddFlags(s.Flags())
	return s
}
