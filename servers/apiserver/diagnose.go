package apiserver

import (
	"context"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// diagnose looks at the limits that a cluster comes upon, and at the certificates that the data folder has.
func diagnose(_ context.Context, p *supervisor.Plan, _ *supervisor.Server) []supervisor.Finding {
	return append(component.Limits(), cluster.Certificates(p)...)
}
