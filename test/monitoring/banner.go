package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor"
)

// banner says how to go on when all servers are ready.
func banner(p *supervisor.Plan) string {
	var b strings.Builder
	for _, s := range p.Servers {
		fmt.Fprintf(&b, "%-14s http://%s\n", s.Name(), s.ListenAddress(listenFlag))
	}
	fmt.Fprintf(&b, "\n%s\n%s", p.Command("status"), p.Command("logs", "-f"))
	return b.String()
}

// versions are that of the binary, and those of the modules that the servers are from.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	lines := []string{info.Main.Version}
	for _, m := range info.Deps {
		name := strings.TrimPrefix(m.Path, "github.com/prometheus/")
		if slices.Contains([]string{"prometheus", "alertmanager", "node_exporter"}, name) {
			lines = append(lines, name+" "+m.Version)
		}
	}
	return strings.Join(lines, "\n")
}
