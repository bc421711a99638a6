package supervisor

import (
	"fmt"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Plan is what `run` is about to do, for servers to read in Defaults, Check, Listen and Prepare. It is made from what
// the user gave, in arguments, environment and files, and from nothing else.
type Plan struct {
	// Name is the name of this set of servers.
	Name string
	// DataDir is the folder for all state, an absolute path. It exists, and is held by this process, from Prepare on.
	DataDir string
	// Ephemeral says that DataDir is removed at the end.
	Ephemeral bool
	// FreePorts says that servers are to listen on ports that are free, unless the user named one.
	FreePorts bool
	// OnlyCheck says that nothing is to run, at least not on this machine: Check looks at flags, and at files that they
	// name, but not at what else the server needs.
	OnlyCheck bool
	// Embedded says that the process belongs to somebody else (Start): its standard error, its loggers and the like are
	// left alone.
	Embedded bool
	// Servers are the selected servers, each after those that it needs.
	Servers []*Server

	hk       *HyperKube
	location []string // the flags by which commands find these servers
	plain    string   // the folder of the second path to DataDir: see PlainPath
	open     bool     // others may enter DataDir, which was there before: see SocketPath
	given    *given   // what the user said; nil where no servers are to run
	run      *run     // what happens
}

// joined is a server that nobody named: another one needs it, or a flag of its own is given.
type joined struct {
	server *Server
	by     *Server // nil if it is the flag
	unless []string
	flag   string
}

func (j joined) String() string {
	if j.by == nil {
		return fmt.Sprintf("%s joins: --%s is given", j.server.Name(), j.flag)
	}
	text := fmt.Sprintf("%s joins: %s needs it", j.server.Name(), j.by.Name())
	if len(j.unless) > 0 {
		text += fmt.Sprintf(" (--%s.%s would name one elsewhere)", j.by.Name(), j.unless[0])
	}
	return text
}

// Path is a path inside the data folder.
func (p *Plan) Path(elem ...string) string {
	return filepath.Join(append([]string{p.DataDir}, elem...)...)
}

// Selected reports whether the server of that name is one of those that are run.
func (p *Plan) Selected(name string) bool { return p.Server(name) != nil }

// runs is Selected for a Server instead of a name.
func (p *Plan) runs(s *Server) bool { return slices.Contains(p.Servers, s) }

// Server returns the selected server of that name, or nil.
func (p *Plan) Server(name string) *Server {
	for _, s := range p.Servers {
		if s.answersTo(name) {
			return s
		}
	}
	return nil
}

// AtEnd has f called when all servers have ended, also if none was started; what was added last is called first. The
// logs are still open.
func (p *Plan) AtEnd(f func()) { p.run.atEnd = append(p.run.atEnd, f) }

// Logs is where the lines of all servers come together.
func (p *Plan) Logs() *logging.Logs { return p.run.logs }

// plan makes the plan from all that the user gave, and gives all flags their values. It writes and opens nothing, but
// decides where the lines of servers are going to be shown. It returns nil and no error if the arguments ask for help.
// With an error it returns a plan, too, if it is known which servers are meant: they may find more that is wrong.
func (hk *HyperKube) plan(composite *Server, args, environ []string) (*Plan, error) {
	flags := hk.newRunFlags()
	if composite != nil {
		members, err := hk.choose([]string{composite.Name()})
		if err != nil {
			return nil, err
		}
		flags.addMembers(members)
	}
	g := flags.gather(args, environ)
	if g.help {
		return nil, nil
	}
	g.wrong.join(flags.assign(g.assignments))
	g.assignments = hk.settings.yield(g.assignments)
	if composite != nil {
		if g.named {
			g.wrong.add(fmt.Errorf("%s takes no arguments, but there is %q", composite.Name(), g.names[0]))
		}
		g.names, g.named, g.at = []string{composite.Name()}, true, source{}
	}
	p, err := hk.emptyPlan()
	p.given = g
	g.wrong.add(err)
	g.wrong.add(p.run.prepareForeground(g.command))
	errServers := hk.selectServers(p, composite)
	if errServers == nil {
		g.wrong.join(flags.unselected(p, g.assignments, g.named))
	} else {
		for _, err := range text.Errors(errServers) {
			g.wrong.add(g.at.wrong(err))
		}
	}
	g.wrong.join(flags.giveOwn(p))
	g.wrong.add(hk.settings.checkAdminListen())
	g.wrong.join(p.run.makeLogs(flags))
	if errServers == nil {
		g.wrong.join(flags.apply(p, g.named))
	}
	for _, warning := range append(g.warnings, deprecations(g.assignments)...) {
		p.run.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn(warning)
	}
	if errServers != nil {
		p.run.logs.Close()
		return nil, p.located(g.wrong).err()
	}
	g.wrong.join(giveDefaults(p, g.wrong))
	g.wrong = p.located(g.wrong)
	return p, g.wrong.err()
}

// selectServers puts the selected servers into the plan.
func (hk *HyperKube) selectServers(p *Plan, composite *Server) (err error) {
	if p.Servers, err = hk.choose(p.given.names); err != nil {
		return err
	}
	if composite == nil {
		hk.joinByFlags(p, p.given.named)
	}
	return hk.join(p, composite)
}

// giveOwn gives the servers the values of the flags that this package adds to them. It checks those of unselected
// servers, too.
func (rf *runFlags) giveOwn(p *Plan) (wrong problems) {
	for _, s := range rf.hk.servers {
		own := rf.servers[s]
		if own == nil {
			continue
		}
		if own.policy.grace <= 0 {
			wrong.add(fmt.Errorf("--%s.grace-period: %v is not a time to wait: use a positive one", s.Name(), own.policy.grace), s)
		}
		if l := own.policy.limits; l.Failures < 1 || l.Window <= 0 || l.Pause <= 0 {
			wrong.add(fmt.Errorf("--%[1]s.restart-limit=%[2]d, --%[1]s.restart-window=%[3]v, --%[1]s.restart-pause=%[4]v: use numbers above 0",
				s.Name(), l.Failures, l.Window, l.Pause), s)
		}
		if p.runs(s) {
			s.at().policy = own.policy
		} else if _, err := logging.ParseLevel(own.level); err != nil && own.level != "" {
			wrong.add(fmt.Errorf("--%s.log-level: %w", s.Name(), err), s)
		}
	}
	return wrong
}

// giveDefaults sets the servers' flags that the user has not given. It skips servers whose flags are already known to
// be wrong.
func giveDefaults(p *Plan, found problems) (wrong problems) {
	for _, s := range p.Servers {
		if s.Defaults == nil {
			continue
		}
		if err := s.Defaults(p, s); !found.of[s] {
			wrong.add(p.locate(err, s), s)
		}
	}
	return wrong
}

// deprecations tell of the given flags that are to go away.
func deprecations(given []assignment) (warnings []string) {
	for i, a := range given {
		again := slices.ContainsFunc(given[:i], func(b assignment) bool { return b.flag == a.flag })
		if a.flag.Deprecated != "" && !again {
			warnings = append(warnings, fmt.Sprintf("%s is deprecated: %s", a, a.flag.Deprecated))
		}
	}
	return warnings
}
