package supervisor

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/child"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/sockets"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Isolation says where a server runs.
type Isolation string

// The kinds of isolation.
const (
	// IsolationNone runs the server in the process of the others. It is the default.
	IsolationNone Isolation = "none"
	// IsolationProcess runs it in a process of its own.
	IsolationProcess Isolation = "process"
)

// Type is that of a pflag.Value.
func (i *Isolation) Type() string { return "isolation" }

func (i *Isolation) String() string { return string(cmp.Or(*i, IsolationNone)) }

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
	Grace     time.Duration    `json:"grace"`
	LogLevel  string           `json:"logLevel"`
	VModule   string           `json:"vmodule"`
	Servers   []childServer    `json:"servers"`
	Sockets   []sockets.Shared `json:"sockets"`
}

// childServer is a server of the plan: where it runs, what was set on its flags, in order, and which of these the user
// gave.
type childServer struct {
	Name      string              `json:"name"`
	Isolation Isolation           `json:"isolation"`
	Flags     [][2]text.RawString `json:"flags"`
	Given     []string            `json:"given"`
	// Ports are where it listens, by flag.
	Ports map[string][]childPort `json:"ports,omitempty"`
}

// isolate gives a process of its own to each server of the plan for which the user wants it.
func (r *run) isolate() {
	for _, s := range r.plan.Servers {
		there := s.at()
		if !s.Isolated() {
			continue
		}
		there.child = child.New(child.Config{
			Args:         []string{r.hk.Name, isolatedCommand, s.Name()},
			Variable:     isolatedVariable,
			Server:       s.Name(),
			Log:          there.log,
			GracePeriod:  there.policy.grace,
			Socket:       childSocketPath(r.plan, s),
			Plan:         func() (any, []*os.File, error) { return r.plan.describe(s) },
			CloseSockets: there.sockets.Close,
			Actor:        func() *life.Actor { return there.actor.Load() },
			Record:       func(e zapcore.Entry, fields ...zap.Field) { record(there.log, e, fields...) },
			Exit:         func(code int, err error) error { return &ExitError{Code: code, Err: err} },
			Gone:         r.lost.Load,
		})
		r.logs.OnChange(there.child.TellLevel)
	}
}

// childSocketPath is where a child serves its profiles.
func childSocketPath(p *Plan, s *Server) string { return p.Path(s.Name() + ".child.sock") }

// describe is the plan for the process of a server, and the sockets that it gets.
func (p *Plan) describe(s *Server) (*childPlan, []*os.File, error) {
	vmodule := ""
	if s.VModuleFlag != "" && s.Given(s.VModuleFlag) {
		vmodule = s.Value(s.VModuleFlag)
	}
	plan := &childPlan{
		Server: s.Name(), Name: p.Name, DataDir: text.RawString(p.DataDir), Ephemeral: p.Ephemeral, FreePorts: p.FreePorts,
		CalledAs: text.RawString(p.hk.calledAs), Location: text.RawStrings(p.location), Plain: text.RawString(p.plain), Open: p.open,
		Grace: s.at().policy.grace, LogLevel: logging.FormatLevel(s.Log().Level()), VModule: vmodule,
	}
	for _, s := range p.Servers {
		server := childServer{Name: s.Name(), Isolation: s.at().policy.isolation}
		for _, h := range s.flags.history {
			server.Flags = append(server.Flags, [2]text.RawString{text.RawString(h.flag), text.RawString(h.value)})
		}
		for flag := range s.flags.given {
			server.Given = append(server.Given, flag)
		}
		server.Ports = s.at().ports.describe()
		plan.Servers = append(plan.Servers, server)
	}
	var files []*os.File
	var err error
	plan.Sockets, files, err = s.at().sockets.Share()
	return plan, files, err
}

// adopt makes the parent's plan this process's.
func (hk *HyperKube) adopt(plan *childPlan) (*Plan, *Server, error) {
	hk.calledAs = string(plan.CalledAs)
	p := &Plan{hk: hk, Name: plan.Name, DataDir: string(plan.DataDir), Ephemeral: plan.Ephemeral, FreePorts: plan.FreePorts,
		location: text.Strings(plan.Location), plain: string(plan.Plain), open: plan.Open, given: &given{}}
	p.run = hk.newRun(p)
	for _, described := range plan.Servers {
		s, err := hk.FindServer(described.Name)
		if err != nil {
			return nil, nil, err
		}
		s.at().policy.isolation = described.Isolation
		var history [][2]string
		for _, set := range described.Flags {
			history = append(history, [2]string{string(set[0]), string(set[1])})
		}
		if err := s.restore(described.Given, history); err != nil {
			return nil, nil, err
		}
		s.adoptPorts(described.Ports)
		p.Servers = append(p.Servers, s)
	}
	s := p.Server(plan.Server)
	if s == nil {
		return nil, nil, fmt.Errorf("%s is not in its parent's plan", plan.Server)
	}
	return p, s, s.at().sockets.Adopt(plan.Sockets, child.FirstSocketFD)
}
