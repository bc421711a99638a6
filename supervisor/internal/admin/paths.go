package admin

import (
	"net/url"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// The paths of the API, for both of its sides.
const (
	statusPath  = "/v1/status"
	serversPath = "/v1/servers"
	eventsPath  = "/v1/events"
	usagePath   = "/v1/usage"
	healthPath  = "/healthz"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
	pprofPath   = "/debug/pprof/"
	profilePath = pprofPath + "profile"

	logLevelWord = "log-level"
	noWaitQuery  = "?wait=false"
)

// serverPath is the path of one server or, for a request about several, of these.
func serverPath(names ...string) string { return serversPath + "/" + strings.Join(names, ",") }

func steerPath(what life.Verb, names []string) string {
	return serverPath(names...) + "/" + string(what)
}

func profileQuery(seconds, server string) string {
	query := url.Values{"seconds": {seconds}}
	if server != "" {
		query.Set("server", server)
	}
	return profilePath + "?" + query.Encode()
}
