package supervisor

import (
	"fmt"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Isolation says where a server runs.
type Isolation string

// The kinds of isolation.
const (
	// IsolationNone is in the process of the others. It is the default.
	IsolationNone Isolation = "none"
	// IsolationProcess is a process of its own.
	IsolationProcess Isolation = "process"
)

// Type is that of a pflag.Value.
func (i *Isolation) Type() string { return "isolation" }

func (i *Isolation) String() string { return string(i.isolation()) }

// Set is that of a pflag.Value.
func (i *Isolation) Set(text string) error {
	switch v := Isolation(text); v {
	case IsolationNone, IsolationProcess:
		if v == IsolationProcess && !system.CanIsolate {
			return fmt.Errorf("%s needs a system like Unix, which this is not: use %s", IsolationProcess, IsolationNone)
		}
		*i = v
		return nil
	}
	return fmt.Errorf("unknown isolation: use %s or %s", IsolationNone, IsolationProcess)
}

func (i *Isolation) isolation() Isolation {
	if *i == "" {
		return IsolationNone
	}
	return *i
}

// A server with --NAME.isolation=process is a process of its own, a child of the one that runs the others: the same
// binary, called as `isolated NAME` (isolated.go). What is different for the rest of the package is that the server's
// Run, Ready and Address are those of a child.
//
//	parent                                  child
//	  │── childPlan ───────────────────────▶│  once: what it is to run, with all flags
//	  │── order: level, stop ──────────────▶│
//	  │◀── report: ready, failed, sockets ──│
//	  │◀── lines of JSON ───────────────────│  its log
//	  │◀── text ────────────────────────────│  standard output and error, such as the traceback of a crash
//
// The first two are one socket. When it is closed the other side has died: a child then ends at once.

// Files of a child beyond standard input, output and error.
const (
	controlFD     = 3 + iota // orders and reports
	logFD                    // lines of its log
	firstSocketFD            // sockets on which it listens
)

// isolatedCommand is the word by which the binary is called as a child.
const isolatedCommand = "isolated"

// isolatedVariable is set in the environment of a child, until it has understood that it is one.
const isolatedVariable = "SUPERVISOR_ISOLATED"

// childPlan tells a child what it is to run.
type childPlan struct {
	Server    string           `json:"server"`
	Name      string           `json:"name"`
	DataDir   text.RawString   `json:"dataDir"`
	Ephemeral bool             `json:"ephemeral"`
	FreePorts bool             `json:"freePorts"`
	CalledAs  text.RawString   `json:"calledAs"`
	Location  []text.RawString `json:"location"`
	Plain     text.RawString   `json:"plain"`
	Open      bool             `json:"open"`
	LogLevel  string           `json:"logLevel"`
	VModule   string           `json:"vmodule"`
	Servers   []childServer    `json:"servers"`
	Sockets   []childSocket    `json:"sockets"`
}

// childServer is a server of the plan: where it runs, what was set on its flags, in order, and which of these the user
// gave.
type childServer struct {
	Name      string              `json:"name"`
	Isolation Isolation           `json:"isolation"`
	Flags     [][2]text.RawString `json:"flags"`
	Given     []string            `json:"given"`
}

// childSocket is a socket as Server.Socket knows it. The open ones are, in the same order, the child's files from
// firstSocketFD on.
type childSocket struct {
	Network string         `json:"network"`
	Asked   text.RawString `json:"asked"`
	Address text.RawString `json:"address"`
	Open    bool           `json:"open"`
}

// childOrder is what a parent tells its child after the plan. One field is set.
type childOrder struct {
	Level         string `json:"level,omitempty"`
	Stop          bool   `json:"stop,omitempty"`
	SocketsClosed bool   `json:"socketsClosed,omitempty"`
}

// childReport is what a child tells its parent. One field is set, but for Address beside Ready, and Code and Permanent
// beside Failed; none if nothing hinders the start any more. Degraded is empty if nothing is lacking any more.
type childReport struct {
	Ready        bool    `json:"ready,omitempty"`
	Address      string  `json:"address,omitempty"`
	Failed       string  `json:"failed,omitempty"`
	Code         int     `json:"code,omitempty"` // that of an ExitError
	Permanent    bool    `json:"permanent,omitempty"`
	CloseSockets bool    `json:"closeSockets,omitempty"`
	Hindered     string  `json:"hindered,omitempty"`
	Degraded     *string `json:"degraded,omitempty"`
}

// isolate has those servers of the plan run in processes of their own for which the user wants it.
func (hk *HyperKube) isolate(p *Plan) {
	for _, s := range p.Servers {
		if s.Isolation != IsolationProcess {
			continue
		}
		c := &child{hk: hk, plan: p, s: s, started: make(chan struct{})}
		c.client.Transport = system.UnixTransport(childSocketPath(p, s))
		s.child = c
		s.Build, s.Run, s.Ready, s.Address, s.StartsOnce = nil, c.run, c.becomeReady, c.address, nil
		p.logs.OnChange(c.tellLevel)
	}
}

// childSocketPath is where a child serves its profiles.
func childSocketPath(p *Plan, s *Server) string { return p.Path(s.Name() + ".child.sock") }
