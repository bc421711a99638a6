package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// Status is what a run tells of itself. The API has it at /v1/status.
type Status struct {
	// Program is the name of the binary, Version its version, and Name that of this set of servers.
	Program string `json:"program"`
	Version string `json:"version,omitempty"`
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	DataDir string `json:"dataDir"`
	// Began is when the run began, before the flags were read.
	Began time.Time `json:"began"`
	// Ready is when all servers had been ready for the first time; zero before.
	Ready time.Time `json:"ready,omitzero"`
	// Stopping says that all servers are being stopped, for good.
	Stopping bool `json:"stopping,omitempty"`
	// Crash is how the run before this one ended, if that was not by a stop.
	Crash   *crash.Crash   `json:"crash,omitempty"`
	Servers []ServerStatus `json:"servers"`
}

// ServerStatus is what is known of one server. The API has it at /v1/servers/NAME.
type ServerStatus struct {
	Name  string     `json:"name"`
	State life.State `json:"state"`
	Since time.Time  `json:"since"`
	// Error says why it is in backoff or failed, or stopped instead of started again; what hinders its start, in
	// starting; or what it lacks, in ready. NextStart is when it is started again.
	Error     string    `json:"error,omitempty"`
	NextStart time.Time `json:"nextStart,omitzero"`
	// Restarts is how often it was started after the first time.
	Restarts int `json:"restarts"`
	// LastFailure is why it has failed the last time, if it ever has.
	LastFailure *Failure `json:"lastFailure,omitempty"`
	// Address is where it listens, or another word on what it is, for people.
	Address string `json:"address,omitempty"`
	// Needs are those servers of the run that it needs.
	Needs []string `json:"needs,omitempty"`
	// FirstStarted and FirstReady are when its first start began and succeeded; StartSeconds is how long the last one
	// took.
	FirstStarted time.Time `json:"firstStarted,omitzero"`
	FirstReady   time.Time `json:"firstReady,omitzero"`
	StartSeconds float64   `json:"startSeconds,omitempty"`
	// StartsOnce says that it cannot be started again in this process.
	StartsOnce bool `json:"startsOnce,omitempty"`
	// LogLevel is the least severe level that it logs.
	LogLevel string `json:"logLevel"`
	// Restart is its restart policy.
	Restart life.RestartPolicy `json:"restart"`
	// Isolation is process if it runs in a process of its own, whose number PID is then, and none otherwise.
	Isolation string `json:"isolation"`
	PID       int    `json:"pid,omitempty"`
}

// Failure is why a server has failed, and when.
type Failure struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// serverStatus is what is known of the server now.
func (a *API) serverStatus(actor *life.Actor) ServerStatus {
	now := actor.Status()
	s := ServerStatus{
		Name:         actor.Name(),
		State:        now.State,
		Since:        now.Since,
		NextStart:    now.NextStart,
		Restarts:     max(0, now.Starts-1),
		Address:      now.Address,
		Needs:        actor.Needs(),
		FirstStarted: now.FirstStarted,
		FirstReady:   now.FirstReady,
		StartSeconds: now.Took.Seconds(),
		StartsOnce:   now.StartsOnce,
		LogLevel:     logging.FormatLevel(actor.Log().Level()),
		Restart:      actor.RestartPolicy(),
		Isolation:    "none",
	}
	if process := a.run.Processes[actor.Name()]; process != nil {
		s.Isolation, s.PID = "process", process.PID()
	}
	if now.Err != nil {
		s.Error = now.Err.Error()
	}
	if now.LastErr != nil {
		s.LastFailure = &Failure{Time: now.LastErrAt, Error: now.LastErr.Error()}
	}
	return s
}

// Server is the server of that name, or nil.
func (st *Status) Server(name string) *ServerStatus {
	if i := slices.IndexFunc(st.Servers, func(s ServerStatus) bool { return s.Name == name }); i >= 0 {
		return &st.Servers[i]
	}
	return nil
}

// ProcessOf is the process that the server is in.
func (st *Status) ProcessOf(server ServerStatus) int { return cmp.Or(server.PID, st.PID) }
