// Package admin is how a run is looked at and steered while it goes on: HTTP with JSON on a unix socket, and a client
// of that. It shows what it is given as values ([Run]), and knows nothing of flags, folders and commands.
//
//	GET  /v1/status                        Status
//	GET  /v1/servers, /v1/servers/NAME     ServerStatus, of all or of one
//	POST /v1/servers/NAMES/start           and stop, restart; NAMES are comma-separated. Answers with the list
//	                                       of ServerStatus when it has come to pass; with ?wait=false at once
//	PUT  /v1/servers/NAME/log-level        LogLevel
//	GET  /v1/events?after=N                the events behind number N, one JSON object a line, and on as they come;
//	                                       with ?follow=false only those that there are
//	GET  /v1/usage                         Usage
//	GET  /healthz, /readyz, /readyz/NAME   as Kubernetes prints them; ?verbose
//	GET  /metrics                          for Prometheus
//	GET  /debug/pprof/                     as net/http/pprof; profile takes ?server=NAME, too
//
// What is refused is answered with {"error": "…"}. Within v1, fields are added and nothing is taken away. A client that
// does not read what it asked for holds up nobody else.
package admin
