package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/meter"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// admin is the admin API: HTTP with JSON on a unix socket in the data folder, by which a run is looked at and steered.
//
//	GET  /v1/status                        Status
//	GET  /v1/servers, /v1/servers/NAME     ServerStatus, of all or of one
//	POST /v1/servers/NAMES/start           and stop, restart; NAMES are comma-separated. Answers with the list
//	                                       of ServerStatus when it has come to pass; with ?wait=false at once
//	PUT  /v1/servers/NAME/log-level        {"level": "v=4"}
//	GET  /v1/events?after=N                the events behind number N, one JSON object a line, and on as they come;
//	                                       with ?follow=false only those that there are
//	GET  /v1/usage                         Usage
//	GET  /healthz, /readyz, /readyz/NAME   as Kubernetes prints them; ?verbose
//	GET  /metrics                          for Prometheus
//	GET  /debug/pprof/                     as net/http/pprof; profile takes ?server=NAME, too
//
// What is refused is answered with {"error": "…"}. Within v1, fields are added and nothing is taken away. A client that
// does not read what it asked for holds up nobody else.
type admin struct {
	hk    *HyperKube
	plan  *Plan
	group *group
	began time.Time
	meter meter.CPU

	path     string // of the socket
	listener net.Listener
	own      os.FileInfo // the socket's file
	server   *http.Server
	losing   sync.Once
}

// adminSocket is the name of the socket in the data folder.
func adminSocket(p *Plan, program string) string { return p.Path(program + ".sock") }

// openAdmin opens the socket. The data folder must be held: a socket that is there is one that a killed process has
// left.
func (hk *HyperKube) openAdmin(p *Plan) (*admin, error) {
	path := adminSocket(p, hk.Name)
	l, err := system.ListenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("the socket of the admin API cannot be opened: %w; name another folder with --data-dir", err)
	}
	a := &admin{hk: hk, plan: p, path: path, listener: l}
	a.own, _ = os.Stat(path) // what has gone already is like nothing that comes later
	return a, nil
}

// serve answers until all servers of the group have ended. It is an actor of an oklog/run group that ends last: whoever
// asked for a stop is to be told how it went.
func (a *admin) serve() error {
	a.server = &http.Server{
		Handler: a.handler(),
		// A client that connects and says nothing is not kept for ever.
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          zap.NewStdLog(a.plan.logs.Program().Zap()),
	}
	failed := make(chan error, 1)
	go func() { failed <- a.server.Serve(a.listener) }()
	stopKeeping := a.keepSocket()
	a.group.until(context.Background(), a.group.over)
	stopKeeping()
	// Nothing changes any more: whoever reads events, or takes a profile, gets the rest of it now.
	a.group.events.close()
	a.meter.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		_ = a.server.Close() // what is left are clients that do not read
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		a.plan.logs.Program().Zap().Error("the admin API has failed", zap.Error(err))
	}
	return nil
}

// lastAnswers is how long the end waits for clients to read their answers.
const lastAnswers = time.Second

// close removes the socket, unless what is there is another run's.
func (a *admin) close() {
	if a == nil {
		return
	}
	_ = a.listener.Close() // it is closed already, if anything was served
	if a.plan.folder.lost() == nil && !a.plan.lost.Load() {
		system.RemoveUnix(a.path)
	}
}

func (a *admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", a.getStatus)
	mux.HandleFunc("GET /v1/servers", a.getServers)
	mux.HandleFunc("GET /v1/servers/{name}", a.getServer)
	for word, what := range map[string]ask{"start": askStart, "stop": askStop, "restart": askRestart} {
		mux.HandleFunc("POST /v1/servers/{names}/"+word, func(w http.ResponseWriter, r *http.Request) { a.postServers(w, r, what) })
	}
	mux.HandleFunc("PUT /v1/servers/{name}/log-level", a.putLogLevel)
	mux.HandleFunc("GET /v1/events", a.getEvents)
	mux.HandleFunc("GET /v1/usage", a.getUsage)
	mux.HandleFunc("GET /healthz", a.getHealth)
	mux.HandleFunc("GET /readyz", a.getReady)
	mux.HandleFunc("GET /readyz/{name}", a.getReadyOne)
	mux.Handle("GET /metrics", a.metrics())
	a.addProfiles(mux)
	mux.HandleFunc(otherPaths, func(w http.ResponseWriter, r *http.Request) {
		// The mux would answer a wrong method by itself if it were not for this handler, but not in JSON.
		if methods := methodsOf(mux, r); len(methods) > 0 {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%s takes no %s: use %s", r.URL.Path, r.Method, strings.Join(methods, " or ")))
			return
		}
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no %s: /v1/status is where to begin", r.URL.Path))
	})
	return mux
}

// otherPaths is the pattern of what is no path of the API.
const otherPaths = "/"

// methodsOf are the methods that the path of a request takes.
func methodsOf(mux *http.ServeMux, r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		if _, pattern := mux.Handler(&http.Request{Method: method, Host: r.Host, URL: r.URL}); pattern != otherPaths {
			methods = append(methods, method)
		}
	}
	return methods
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone
}

// apiError is how the API refuses something.
type apiError struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(apiError{err.Error()}) // the client has gone
}

// status is what the run tells of itself now.
func (a *admin) status() *Status {
	s := &Status{Program: a.hk.Name, Name: a.plan.Name, PID: os.Getpid(), DataDir: a.plan.DataDir, Began: a.began, Crash: a.plan.crash}
	if a.hk.Version != nil {
		s.Version, _, _ = strings.Cut(strings.TrimSpace(a.hk.Version()), "\n")
	}
	a.group.mu.Lock()
	s.Ready, s.Stopping = a.group.readySince(), a.group.closing
	a.group.mu.Unlock()
	for _, actor := range a.group.actors {
		s.Servers = append(s.Servers, a.serverStatus(actor))
	}
	return s
}

func (a *admin) serverStatus(actor *actor) ServerStatus {
	s := actor.status()
	s.LogLevel = logging.FormatLevel(actor.log().Level())
	return s
}

func (a *admin) getStatus(w http.ResponseWriter, _ *http.Request) { answer(w, a.status()) }

func (a *admin) getServers(w http.ResponseWriter, _ *http.Request) { answer(w, a.status().Servers) }

func (a *admin) getServer(w http.ResponseWriter, r *http.Request) {
	actor, err := a.group.findActor(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	answer(w, a.serverStatus(actor))
}

func (a *admin) postServers(w http.ResponseWriter, r *http.Request, what ask) {
	var named []*actor
	for name := range strings.SplitSeq(r.PathValue("names"), ",") {
		actor, err := a.group.findActor(name)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		if !slices.Contains(named, actor) {
			named = append(named, actor)
		}
	}
	wish, err := a.group.request(what, func(s *Server) error { return a.plan.checkAgain(r.Context(), s) }, named...)
	switch {
	case err != nil:
	case r.URL.Query().Get("wait") != "false":
		err = a.group.await(r.Context(), wish)
	default:
		err = wish.refused
	}
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	var all []ServerStatus
	for _, actor := range wish.actors {
		all = append(all, a.serverStatus(actor))
	}
	answer(w, all)
}

// logLevel is the body of a request for another log level.
type logLevel struct {
	Level   string `json:"level"`
	Warning string `json:"warning,omitempty"` // in an answer
}

func (a *admin) putLogLevel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	log := a.plan.logs.Program()
	var s *Server
	if name != a.hk.Name {
		actor, err := a.group.findActor(name)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		log, s = actor.log(), actor.s
	}
	var body logLevel
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf(`the body is not like {"level": "v=4"}: %w`, err))
		return
	}
	level, err := logging.ParseLevel(body.Level)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	log.SetLevel(level)
	answer(w, logLevel{logging.FormatLevel(level), s.warning(level)})
}
