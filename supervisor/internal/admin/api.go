package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/meter"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Run is what the API shows, and steers.
type Run struct {
	// Program is the name of the binary, which is also that of what belongs to no server, and Version, if not nil,
	// returns its version.
	Program string
	Version func() string
	// Name is that of this set of servers, and DataDir their folder.
	Name, DataDir string
	// Began is when the run began.
	Began time.Time
	// Crash is how the run before has ended, if that was not by a stop.
	Crash *crash.Crash
	// Group has the servers, and Logs their logs.
	Group *life.Group
	Logs  *logging.Logs
	// Processes are the processes of servers that have one of their own, by the server's name.
	Processes map[string]Process
	// Check, if not nil, checks a server that somebody wants to start anew: an error refuses that.
	Check func(ctx context.Context, server string) error
	// Warning, if not nil, returns what people are to know about a level at which a server is to log, or "".
	Warning func(server string, level zapcore.Level) string
}

// Process is the process that a server has of its own.
type Process interface {
	// PID is 0 if there is none at the moment.
	PID() int
	// Usage adds to here, what the server uses up in this process, what its own process does.
	Usage(ctx context.Context, here ServerUsage) ServerUsage
	// Profile takes a CPU profile.
	Profile(ctx context.Context, d time.Duration) ([]byte, error)
}

// API answers requests about a run.
type API struct {
	run   Run
	meter meter.CPU
}

// New returns the API of a run, which may already go on.
func New(run Run) *API { return &API{run: run} }

// Close ends what the API does beside its answers: profiles get what there is so far.
func (a *API) Close() { a.meter.Close() }

// Handler answers all requests.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, a.getStatus)
	mux.HandleFunc("GET "+serversPath, a.getServers)
	mux.HandleFunc("GET "+serversPath+"/{name}", a.getServer)
	for _, what := range []life.Verb{life.Start, life.Stop, life.Restart} {
		mux.HandleFunc("POST "+serversPath+"/{names}/"+string(what), func(w http.ResponseWriter, r *http.Request) {
			a.postServers(w, r, what)
		})
	}
	mux.HandleFunc("PUT "+serversPath+"/{name}/"+logLevelWord, a.putLogLevel)
	mux.HandleFunc("GET "+eventsPath, a.getEvents)
	mux.HandleFunc("GET "+usagePath, a.getUsage)
	a.addHealth(mux)
	a.addProfiles(mux)
	return withOthers(mux, statusPath)
}

// HealthHandler answers requests that change nothing and tell no secrets: health, readiness and metrics. It is for
// whoever can reach it.
func (a *API) HealthHandler() http.Handler {
	mux := http.NewServeMux()
	a.addHealth(mux)
	return withOthers(mux, healthPath)
}

// addHealth adds what HealthHandler answers.
func (a *API) addHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET "+healthPath, a.getHealth)
	mux.HandleFunc("GET "+readyPath, a.getReady)
	mux.HandleFunc("GET "+readyPath+"/{name}", a.getReadyOne)
	mux.Handle("GET "+metricsPath, a.metrics())
}

// withOthers adds the answers to requests that the mux has no handler for. begin is the path where to begin.
func withOthers(mux *http.ServeMux, begin string) http.Handler {
	mux.HandleFunc(otherPaths, func(w http.ResponseWriter, r *http.Request) {
		// Without this handler the mux would answer a wrong method by itself, but not in JSON.
		if methods := methodsOf(mux, r); len(methods) > 0 {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%s takes no %s: use %s", r.URL.Path, r.Method, strings.Join(methods, " or ")))
			return
		}
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no %s: %s is where to begin", r.URL.Path, begin))
	})
	return mux
}

// otherPaths is the pattern for all that is no path of the API.
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

// Answer writes v as JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone
}

// refusal is how the API refuses something.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(refusal{err.Error()}) // the client has gone
}

// find returns the actor of a server that is run.
func (a *API) find(name string) (*life.Actor, error) {
	if actor := a.run.Group.Find(name); actor != nil {
		return actor, nil
	}
	var known []string
	for _, actor := range a.run.Group.Actors() {
		known = append(known, actor.Name())
	}
	err := fmt.Errorf("no server %q is run here: there are %s", name, strings.Join(known, ", "))
	return nil, text.Suggest(err, name, known)
}

// status is what the run tells of itself now.
func (a *API) status() *Status {
	s := &Status{Program: a.run.Program, Name: a.run.Name, PID: os.Getpid(), DataDir: a.run.DataDir,
		Began: a.run.Began, Crash: a.run.Crash, Ready: a.run.Group.ReadySince(), Stopping: a.run.Group.Closing()}
	if a.run.Version != nil {
		s.Version = a.run.Version()
	}
	for _, actor := range a.run.Group.Actors() {
		s.Servers = append(s.Servers, a.serverStatus(actor))
	}
	return s
}

func (a *API) getStatus(w http.ResponseWriter, _ *http.Request) { Answer(w, a.status()) }

func (a *API) getServers(w http.ResponseWriter, _ *http.Request) { Answer(w, a.status().Servers) }

func (a *API) getServer(w http.ResponseWriter, r *http.Request) {
	actor, err := a.find(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	Answer(w, a.serverStatus(actor))
}

func (a *API) postServers(w http.ResponseWriter, r *http.Request, what life.Verb) {
	var named []string
	for name := range strings.SplitSeq(r.PathValue("names"), ",") {
		actor, err := a.find(name)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		named = append(named, actor.Name())
	}
	check := func(name string) error {
		if a.run.Check == nil {
			return nil
		}
		return a.run.Check(r.Context(), name)
	}
	request, err := a.run.Group.Ask(what, check, named...)
	switch {
	case err != nil:
	case r.URL.Query().Get("wait") != "false":
		err = request.Wait(r.Context())
	default:
		err = request.Refused()
	}
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	var all []ServerStatus
	for _, name := range request.Servers() {
		all = append(all, a.serverStatus(a.run.Group.Find(name)))
	}
	Answer(w, all)
}

// LogLevel is the body of a request for another log level of a server, and of the answer.
type LogLevel struct {
	// Level is debug, info, warn, error, or v=N.
	Level string `json:"level"`
	// Warning is what people are to know about it, in an answer.
	Warning string `json:"warning,omitempty"`
}

func (a *API) putLogLevel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	log := a.run.Logs.Program()
	if name != a.run.Program {
		actor, err := a.find(name)
		if err != nil {
			refuse(w, http.StatusNotFound, err)
			return
		}
		name, log = actor.Name(), actor.Log()
	}
	var body LogLevel
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
	answer := LogLevel{Level: logging.FormatLevel(level)}
	if a.run.Warning != nil {
		answer.Warning = a.run.Warning(name, level)
	}
	Answer(w, answer)
}
