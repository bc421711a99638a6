package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"text/template"

	"github.com/google/renameio/v2"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/seed-200a7251/km/supervisor"
)

// The configuration that servers have if the user names none.
var (
	//go:embed defaults/prometheus.yml
	prometheusConfig string
	//go:embed defaults/rules.yml
	prometheusRules string
	//go:embed defaults/alertmanager.yml
	alertmanagerConfig string
)

// webConfigFlag is upstream's: its file says who may connect, and how.
const webConfigFlag = "web.config.file"

// checkFiles is the Check of a server: it looks at the files that the user has named. check, if not nil, looks at that
// of --config.file.
func checkFiles(check func() error) func(context.Context, *supervisor.Plan, *supervisor.Server) error {
	return func(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) error {
		wrong := func(flag string, err error) error {
			if err == nil {
				return nil
			}
			return fmt.Errorf("%s: --%[1]s.%s=%s: %w", s.Name(), flag, s.Value(flag), err)
		}
		err := wrong(webConfigFlag, toolkit.Validate(s.Value(webConfigFlag)))
		if check != nil && s.Given("config.file") {
			err = errors.Join(err, wrong("config.file", check()))
		}
		return err
	}
}

func writeAlertmanagerConfig(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if s.Given("config.file") {
		return nil
	}
	return renameio.WriteFile(p.Path("alertmanager.yml"), []byte(alertmanagerConfig), 0o600)
}

// writePrometheusConfig writes a configuration that names the servers of this run, where they listen.
func writePrometheusConfig(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if s.Given("config.file") {
		return nil
	}
	var config bytes.Buffer
	reached := func(s *supervisor.Server) string { return s.ListenAddress(listenFlag) }
	t := template.Must(template.New("").Funcs(template.FuncMap{"reached": reached}).Parse(prometheusConfig))
	if err := t.Execute(&config, p); err != nil {
		return err
	}
	return errors.Join(
		renameio.WriteFile(p.Path("prometheus.yml"), config.Bytes(), 0o600),
		renameio.WriteFile(p.Path("rules.yml"), []byte(prometheusRules), 0o600),
	)
}
