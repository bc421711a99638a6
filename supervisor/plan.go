package supervisor

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/sweep"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Plan is what `run` is about to do. It is made from what the user gave, in arguments, environment and files, and from
// nothing else; servers read it in Defaults, Check and Prepare.
type Plan struct {
	// Name is the name of this set of servers.
	Name string
	// DataDir is the folder for all state, an absolute path. It exists, and is held by this process, from Prepare on.
	DataDir string
	// Ephemeral says that DataDir is removed at the end.
	Ephemeral bool
	// FreePorts says that servers are to listen on ports that are free, unless the user named one.
	FreePorts bool
	// OnlyCheck says that nothing is to run, or not on this machine: Check looks at the flags, and at files that they
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
	flags    *runFlags
	given    []assignment
	names    []string // of the servers, as they were given
	at       source   // of the names, if they are from a file
	wrong    problems // what has been found so far
	joined   []joined
	logs     *logging.Logs
	logFiles []logFile
	admin    *admin
	began    *beginning
	job      *job           // nil if no command is to be run
	sweeper  *sweep.Sweeper // nil if a killed process would leave nothing behind that has to be removed
	folder   *kept          // the data folder and its lock, while they are held
	lost     atomic.Bool    // the data folder is gone: nothing is written at its path, nor removed there
	moved    string         // where it is then, if that is known
	atEnd    []func()
	crash    *Crash       // how the run before has ended, if that was not by a stop
	forget   func() error // is to be called when this one has ended in an orderly way
}

// joined is a server that nobody named: it is there because another one needs it, or because a flag of its own is
// given.
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

// runs is Selected for a server that is known, and need not be looked for by its names.
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

// AtEnd has f called when all servers have ended, or if none was started after all; the last one first. The logs are
// still open.
func (p *Plan) AtEnd(f func()) { p.atEnd = append(p.atEnd, f) }

// close is the end of a plan that is not carried out because of the error.
func (p *Plan) close(err error) error {
	p.end()
	p.logs.Close()
	return err
}

func (p *Plan) end() {
	for _, f := range slices.Backward(p.atEnd) {
		f()
	}
	p.atEnd = nil
}

// Logs is where the lines of all servers come together.
func (p *Plan) Logs() *logging.Logs { return p.logs }

// plan makes the plan from all that the user gave, and gives all flags their values. Nothing is written or opened. It
// returns nil and no error if the arguments ask for help. With an error it returns a plan, too, if it is known which
// servers are meant: they may find more that is wrong.
func (hk *HyperKube) plan(composite *Server, args, environ []string) (*Plan, error) {
	flags := hk.newRunFlags()
	if composite != nil {
		members, err := hk.choose([]string{composite.Name()})
		if err != nil {
			return nil, err
		}
		flags.addMembers(members)
	}
	g, wrong := flags.gather(args, environ)
	if g.help {
		return nil, nil
	}
	wrong.join(flags.assign(g.given))
	g.given = hk.settings.yield(g.given)
	if g.command != nil { // whose output is what standard output is for
		hk.screen().out = hk.errOut()
	}
	if composite != nil {
		if g.named {
			wrong.add(fmt.Errorf("%s takes no arguments, but there is %q", composite.Name(), g.names[0]))
		}
		g.names, g.named, g.at = []string{composite.Name()}, true, source{}
	}
	p, err := hk.emptyPlan()
	p.flags, p.given, p.names, p.at = flags, g.given, g.names, g.at
	wrong.add(err)
	p.job, err = hk.newJob(p, g.command)
	wrong.add(err)
	var errServers error
	if p.Servers, errServers = hk.choose(g.names); errServers == nil {
		if composite == nil {
			hk.joinByFlags(p, g.named)
		}
		errServers = hk.join(p, composite)
	}
	if errServers == nil {
		wrong.join(flags.unselected(p, g.given, g.named))
	} else {
		for _, err := range text.Errors(errServers) {
			wrong.add(g.at.wrong(err))
		}
	}
	wrong.join(flags.giveOwn(p))
	wrong.join(hk.makeLogs(p, flags))
	if errServers == nil {
		wrong.join(flags.apply(p, g.named))
	}
	for _, warning := range append(g.warnings, deprecations(g.given)...) {
		p.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn(warning)
	}
	if errServers != nil {
		p.logs.Close()
		return nil, p.located(wrong).err()
	}
	wrong.join(giveDefaults(p, wrong))
	p.wrong = p.located(wrong)
	return p, p.wrong.err()
}

// giveOwn gives the servers the values of the flags that this package adds to them. Those of servers that are not
// selected are looked at, too.
func (r *runFlags) giveOwn(p *Plan) (wrong problems) {
	for _, s := range r.hk.servers {
		own := r.own[s]
		if own == nil {
			continue
		}
		if own.grace <= 0 {
			wrong.add(fmt.Errorf("--%s.grace-period: %v is not a time to wait: use a positive one", s.Name(), own.grace), s)
		}
		if p.runs(s) {
			s.GracePeriod, s.Restart, s.Isolation = own.grace, own.restart, own.isolation
		} else if _, err := logging.ParseLevel(own.level); err != nil && own.level != "" {
			wrong.add(fmt.Errorf("--%s.log-level: %w", s.Name(), err), s)
		}
	}
	return wrong
}

// giveDefaults gives the servers' flags the values that the user has not given. Servers whose flags are wrong already
// are not asked what they think of them.
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
