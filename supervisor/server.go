package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
)

// Server describes one server that a HyperKube can be, or run beside others. Fill in the exported fields, then hand it
// to HyperKube.AddServer; they are not to be changed afterwards. A server that serves HTTP is this much:
//
//	s := &supervisor.Server{
//		SimpleUsage: "web",
//		Ports:       []supervisor.Port{{AddressFlag: "listen"}},
//		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
//			return s.ServeHTTP(ctx, "listen", handler)
//		},
//	}
//	s.Flags().String("listen", "127.0.0.1:8080", "address to listen on")
//
// When several servers run in one process, the functions below are called in this order, and only those of selected
// servers. An error of one of these means that nothing has been started; the exit code is 2.
//
//	AddFlags   once, when the flags are first asked for
//	Defaults   for each server, those that it needs first
//	Check      likewise; nothing may be written yet
//	Listen     likewise; the data folder is held
//	Prepare    likewise
//
// What follows is called once for each start. Before one that somebody asks for, Check is called again.
//
//	Build      as soon as the server is to start
//	Run        when that has returned, and each server that it needs is ready
//	Ready      beside Run
//	Address    when that has returned
//	Keeps      likewise, and again, maybe beside Run, when something is missing
//	Cleanup    what was added with it, when all have returned
//
// Of a server that is called alone, AddFlags, Build, Run and Cleanup are.
type Server struct {
	// What every server has. SimpleUsage and Run are all that it needs.

	// SimpleUsage is one line: the server's name and, after a space, its arguments. The first word is its Name.
	SimpleUsage string

	// Long describes the server in the help. It is wrapped to the terminal's width; a blank line starts a paragraph.
	Long string

	// Run is the server. It blocks until ctx ends, and then returns nil or any error: what it returns after ctx ended
	// is not a failure. Before that, an error is a failure; nil means that the server is done, which is fine only if it
	// had become ready. args are the arguments that are not flags; there are none when it runs beside others. A server
	// without Run cannot be run beside others, and needs Main or Members.
	Run func(ctx context.Context, s *Server, args []string) error

	// Ports are where the server listens with TCP. The framework opens the sockets before anything starts, and
	// Listener, Serve and ServeHTTP have listeners on them.
	Ports []Port

	// Needs are the servers that must be ready before this one starts, and that join the selection by themselves.
	Needs []Need

	// MarksReady says that Run calls MarkReady when the server can be used. It is not needed with Ports, nor with
	// Ready.
	MarksReady bool

	// Ready blocks until this start of the server can be used, or ctx ends; ctx ends at the latest when Run returns. An
	// error that it returns before is a failure of the server. It is called once for each call of Run, beside it. A
	// server without Ready is ready as soon as it has been started, or, with Ports or MarksReady, when it calls
	// MarkReady.
	Ready func(ctx context.Context, s *Server) error

	// Restart says whether the server is started again when it has ended without being asked to. Empty means
	// RestartOnFailure; --NAME.restart overrides it. It is started again after a pause, until it has failed too often
	// (RestartLimits), or with an error of Permanent. Those that need it go on meanwhile.
	Restart RestartPolicy

	// GracePeriod is how long Run may take to return after ctx ended, before the server is left behind. Zero means
	// DefaultGracePeriod; --NAME.grace-period overrides it.
	GracePeriod time.Duration

	// What is to be done before a server starts, while it does, and when it has ended.

	// AddFlags adds the server's flags to s.Flags(), if making them costs something: it is called when they are first
	// needed. A server whose flags are cheap adds them before AddServer.
	AddFlags func(s *Server)

	// Defaults gives flags their defaults for this plan, with Default. It must not write or open anything.
	Defaults func(p *Plan, s *Server) error

	// Check looks for what is wrong with the flags, and with files that they name, without changing anything, on disk
	// or in the process. It is called again before a start or restart that somebody asks for while the others run,
	// maybe beside Run, and only one at a time: an error refuses that, and the server stays as it is.
	Check func(ctx context.Context, p *Plan, s *Server) error

	// Diagnose, if not nil, tells `doctor` what Check does not look at: what the server needs of this machine to become
	// ready, or to do well. It is called after Check, which has found nothing wrong, and changes nothing either.
	Diagnose func(ctx context.Context, p *Plan, s *Server) []Finding

	// Listen opens the sockets that the server will serve on, so that a port that is taken is found before anything is
	// written.
	Listen func(p *Plan, s *Server) error

	// Prepare makes what must be there before any server starts, such as files.
	Prepare func(ctx context.Context, p *Plan, s *Server) error

	// Build, if not nil, makes what Run is going to use, as far as that takes none of the needed servers. It is called
	// as soon as the server is to start, while those may still be starting; Run follows when Build has returned and
	// they are ready. An error is a failure of the server. Both get the same ctx, which may end before Run is called;
	// then it is not. Build is to return soon after that. What it opens has to be released then, too: it follows ctx,
	// or Cleanup closes it. Listeners that Socket has returned are closed anyway.
	Build func(ctx context.Context, s *Server) error

	// Address says where the server listens, for people. It is asked when the server has become ready. Without it
	// that is the first of Ports.
	Address func(s *Server) string

	// StopWarnings, if not nil, returns what people are to know before they stop the server, one sentence each: `stop`
	// asks then. It is called in the process of that command.
	StopWarnings func(ctx context.Context, p *Plan) []string

	// State are the paths in the data folder of what the server makes there, as patterns of path.Match; what is in such
	// a folder is its own, too. `reset` deletes that and nothing else, and a folder that others have made is not taken
	// for the data folder if there is something else in it.
	State []string

	// Keeps, if not nil, returns the paths of files and folders without which the server must not go on, such as those
	// of a database: what it reports as done would be lost. It is asked when the server has become ready, and again
	// when something is missing; it may be called beside Run. If one of them goes before the server has ended, or
	// another folder takes the place of one of these, the run has failed, and all servers are stopped, this one first.
	// That is seen within a second; the server itself sees it at once by Lost. A file may be replaced in one step.
	Keeps func(s *Server) []string

	// RestartLimits say how soon the server is started again, and when it has failed for good. Zero values mean the
	// defaults; --NAME.restart-limit, restart-window and restart-pause override them.
	RestartLimits RestartLimits

	// FailsAlone says that the others go on when the server fails for good in a start that somebody has asked for: who
	// has asked is told. It is for what others need only at the beginning.
	FailsAlone bool

	// StartsOnce, if not nil, reports whether Run can be called only once in a process, because of what it leaves
	// behind. Such a server is not started again: when it fails, it has failed for good.
	StartsOnce func(s *Server) bool

	// Isolation says where the server runs: with the others, which is the default, or in a process of its own
	// (IsolationProcess), so that it alone dies of what ends a process, and can be started again whatever it leaves
	// behind. --NAME.isolation overrides it.
	//
	// Such a process is called as the binary is, and ends with the one that runs the others. There Setup and the
	// server's Check and Listen are called once more, and Prepare (also that of the servers that it needs); then Build,
	// Run and Ready. The sockets are those that were opened before.
	Isolation Isolation

	// For carrying servers that were not written for this: their flags, their logs, and what they do to the process.

	// Main, if not nil, is called instead of Run where the process is this one server. It gets the arguments as they
	// were given: flags, subcommands and help are its own business.
	Main func(ctx context.Context, s *Server, args []string) error

	// Aliases are other names of the server, in a list of servers to run and as the name of a symlink to the binary.
	Aliases []string

	// JoinsWith names flags of the server: if the user gives one of them, it joins the selection by itself, although
	// nobody names or needs it. If the command line names servers, only its flags count, and those of files and the
	// environment are ignored.
	JoinsWith []string

	// Members makes this server a composite: selecting it selects its members, and calling it runs them. It has no Run
	// of its own. When it is called, it takes the flags of `run`, and those of its members also without a namespace:
	// each member that has such a flag gets it. No server joins then.
	Members []string

	// ProcessFlags names those of the server's flags that take effect in the whole process, whichever server they are
	// given to, such as feature gates. Beside others each exists once and without a namespace; all servers that have it
	// get its value. One that a single server has is like a flag of `run` itself, and may be in JoinsWith.
	ProcessFlags []string

	// VerbosityFlag names the server's own flag, if there is one, for how much it logs, in klog's sense: its value N
	// means the log level v=N for this server, unless --NAME.log-level is given.
	VerbosityFlag string

	// VModuleFlag names the server's own flag, if there is one, for the verbosity of single source files, as klog's
	// vmodule.
	VModuleFlag string

	// LevelWarning, if not nil, returns what people are to know about lines of a level, such as that secrets are in
	// them, or "". It is told when a run begins at that level, and to whoever sets it with log-level.
	LevelWarning func(level zapcore.Level) string

	// FlagValues, if not nil, returns the values that a flag may have, where they can be counted: for completion in a
	// shell and for the schema of config files. Each may have a description behind a tab.
	FlagValues func(s *Server, flag string) []string

	// Complete, if not nil, completes what is typed behind the server's name, in the way of cobra: args are the word
	// __complete or __completeNoDesc, and what has been typed, the last of which is not complete. It is for a server
	// with a Main that has a command of cobra's; without it, the server's flags are completed.
	Complete func(ctx context.Context, s *Server, args []string) error

	// Packages are the import paths of code that this server alone runs; what is below them belongs to them. Log lines
	// of goroutines that no server has started, such as those in which the runtime runs timers' functions, are placed
	// by it.
	Packages []string

	hk     *HyperKube
	flags  ownFlags
	linked bool
	seat   atomic.Pointer[seat] // made when at is called first
}

// Need is one server that another one needs.
type Need struct {
	// Server is the name of the needed server.
	Server string
	// Unless names flags of the needing server. If the user sets one of them, the needed server is elsewhere: it does
	// not join by itself. If it is selected all the same, it still starts first.
	Unless []string
	// When, if not nil, reports whether the server is needed with the flags that the user gave. If not, it does not
	// join by itself, as with Unless.
	When func(s *Server) bool
	// Beside, if not empty, names a server beside which alone the needed one joins by itself. It is one that the user
	// selects, or that an earlier need has had join.
	Beside string
}

// Name is the first word of SimpleUsage.
func (s *Server) Name() string {
	name, _, _ := strings.Cut(s.SimpleUsage, " ")
	return name
}

// Flags is the server's flag set. It is the place to look values up when Run is called.
func (s *Server) Flags() *pflag.FlagSet {
	if s.flags.set == nil {
		s.flags.set = newFlagSet(s.Name())
	}
	if !s.flags.added && s.AddFlags != nil {
		s.flags.added = true
		s.AddFlags(s)
	}
	return s.flags.set
}

// AddFlagGroup adds all flags of fs to the server's, under a heading of their own in the help. Groups are shown in the
// order in which they were added, after the flags that are in none.
func (s *Server) AddFlagGroup(heading string, fs *pflag.FlagSet) {
	s.Flags().AddFlagSet(fs)
	s.flags.groups = append(s.flags.groups, flagGroup{heading, fs})
}

// Default gives flags values, each unless the user gave it one, as pairs of name and value. The flags then count as set
// (Changed), as if the user had given them. An error is a mistake of the caller: there is no such flag, or it does not
// take the value.
func (s *Server) Default(pairs ...string) error {
	if len(pairs)%2 != 0 {
		return fmt.Errorf("%s: defaults are pairs of a flag and its value, and %q has none", s.Name(), pairs[len(pairs)-1])
	}
	for i := 0; i < len(pairs); i += 2 {
		flag, value := pairs[i], pairs[i+1]
		if s.Given(flag) {
			continue
		}
		if err := s.set(flag, value, nil); err != nil {
			return fmt.Errorf("%s: default for --%s: %w", s.Name(), flag, err)
		}
	}
	return nil
}

// Replay calls set for each flag that was set, by the user or by Default, in the same order, so that Run can start each
// time from options that no earlier start has touched. Those of ProcessFlags are among them: set has to leave out what
// is kept in variables of the process and has already been set.
func (s *Server) Replay(set func(flag, value string) error) error {
	for _, h := range s.flags.history {
		if err := set(h.flag, h.value); err != nil {
			return fmt.Errorf("%s: --%s: %w", s.Name(), h.flag, err)
		}
	}
	return nil
}

// Given reports whether the user set the flag, as opposed to Default.
func (s *Server) Given(flag string) bool { return s.flags.given[flag] }

// Value is the flag's value as text, or "" if there is no such flag.
func (s *Server) Value(flag string) string {
	if f := s.Flags().Lookup(flag); f != nil {
		return f.Value.String()
	}
	return ""
}

// Linked reports whether the binary was called through a symlink with the server's name, as if it were that server's
// own binary.
func (s *Server) Linked() bool { return s.linked }

// names are all names that the server answers to, its own first.
func (s *Server) names() []string { return append([]string{s.Name()}, s.Aliases...) }

func (s *Server) answersTo(name string) bool {
	return name == s.Name() || slices.Contains(s.Aliases, name)
}

// IsProcessFlag reports whether the flag is one of ProcessFlags.
func (s *Server) IsProcessFlag(name string) bool { return slices.Contains(s.ProcessFlags, name) }

// newFlagSet returns a set whose errors are returned, not printed: what is printed, and where, is HyperKube's business.
func newFlagSet(name string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	return fs
}
