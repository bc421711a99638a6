package supervisor

import (
	"time"
)

// Status is what a run tells of itself. The admin API has it at /v1/status.
type Status struct {
	// Program is the name of the binary, Version its version, and Name that of this set of servers.
	Program string `json:"program"`
	Version string `json:"version,omitempty"`
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	DataDir string `json:"dataDir"`
	// Began is when the process began, as far as a run is concerned: before the flags were read.
	Began time.Time `json:"began"`
	// Ready is when all servers had been ready for the first time; zero as long as that has not come.
	Ready time.Time `json:"ready,omitzero"`
	// Stopping says that all servers are being stopped, for good.
	Stopping bool `json:"stopping,omitempty"`
	// Crash is how the run before this one ended, if that was not by a stop.
	Crash   *Crash         `json:"crash,omitempty"`
	Servers []ServerStatus `json:"servers"`
}

// ServerStatus is what is known of one server. The admin API has it at /v1/servers/NAME.
type ServerStatus struct {
	Name  string    `json:"name"`
	State State     `json:"state"`
	Since time.Time `json:"since"`
	// Error says why it is in the state backoff or failed, or stopped instead of started again, what hinders its start
	// in the state starting, or what it lacks in the state ready, and NextStart when it is started again.
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
	Restart RestartPolicy `json:"restart"`
	// Isolation says whether it is in a process of its own, PID then being that one's.
	Isolation Isolation `json:"isolation"`
	PID       int       `json:"pid,omitempty"`
}

// Failure is why a server has failed, and when.
type Failure struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// status is what is known of the server now.
func (a *actor) status() ServerStatus {
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	s := ServerStatus{
		Name:         a.s.Name(),
		State:        a.state,
		Since:        a.since,
		Restarts:     max(0, a.starts-1),
		FirstStarted: a.first.started,
		FirstReady:   a.first.ready,
		StartSeconds: a.took.Seconds(),
		Restart:      a.s.Restart.policy(),
		Isolation:    a.s.Isolation.isolation(),
	}
	if a.s.child != nil {
		s.PID = a.s.child.pid()
	}
	if a.s.StartsOnce != nil {
		s.StartsOnce = a.s.StartsOnce(a.s)
	}
	if a.err != nil {
		s.Error = a.err.Error()
	}
	if a.state == Backoff {
		s.NextStart = a.since.Add(a.pause)
	}
	if a.lastErr != nil {
		s.LastFailure = &Failure{Time: a.lastErrAt, Error: a.lastErr.Error()}
	}
	if a.state == Ready {
		s.Address = a.address
	}
	for _, needed := range a.needs {
		s.Needs = append(s.Needs, needed.s.Name())
	}
	return s
}
