package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// HyperKube is one binary that holds several servers. Fill in the exported fields, add the servers, then call Run or
// RunToExit. The zero value with a Name works.
type HyperKube struct {
	// Name is the binary's name. An invocation under the name of a server, or under one of its aliases, is for that
	// server; under any other name, such as that of a download, for the HyperKube itself.
	Name string

	// Long describes the binary in its help.
	Long string

	// Version says which version of the binary this is, for `version` and --version. Further lines may tell of what is
	// built in.
	Version func() string

	// FlagTypes says how flags take several values, by the Type of their pflag.Value, for types that the servers bring
	// along. Those of pflag are known; others take one value. Config files, where such a flag may be a list or a map,
	// go by it.
	FlagTypes map[string]FlagType

	// DefaultServers are those that `run` means when none is named. Empty means all that can be run.
	DefaultServers []string

	// Setup is called once before servers run together: after all flags have their values, before any server is
	// checked. It is the place for state of the whole process.
	Setup func(p *Plan) error

	// Banner is shown when all servers are ready: how to go on from here.
	Banner func(p *Plan) string

	// Environment returns what a command of `run -- COMMAND` finds in its environment beside what is there, as
	// NAME=value: how to reach the servers. PROGRAM_NAME and PROGRAM_DATA_DIR are there in any case, so that the
	// binary's own commands mean this run.
	Environment func(p *Plan) []string

	// Forget, if not nil, is called by `reset`, and at the end of a run with --ephemeral, before the data folder is
	// deleted: it removes what lies elsewhere and is of no use without the folder, such as entries in the user's files.
	// It returns a line for the user for each thing that is gone. An error is shown, and the folder is deleted all the
	// same.
	Forget func(ctx context.Context, p *Plan) (gone []string, err error)

	// Details, if not nil, returns what `status` shows below the servers of a run, or nil. It is called in the process
	// of that command.
	Details func(ctx context.Context, p *Plan, status *Status) *Details

	// Ways are further calls of `run`, for `doctor` to tell whether they would start on this machine. They need New.
	Ways []Way

	// New, if not nil, returns another HyperKube with the same servers, of which none has been used. `doctor` takes one
	// for each of Ways: flags get their values once.
	New func() *HyperKube

	// Linked, if not nil, is called when --make-symlinks has made its links in a folder: for what is to lie beside
	// them. Flags that are for that are added to Flags, with AnnotationLinks.
	Linked func(dir string) error

	servers   []*Server
	byName    map[string]*Server // names and aliases
	framework *pflag.FlagSet     // frameworkFlags, when there is a server
	commands  []*Command
	topics    []*Topic
	flags     *pflag.FlagSet
	settings  settings
	help      bool
	version   bool
	makeLinks bool
	linkDir   string
	calledAs  string // how a shell finds the binary, if not under its own name
	exits     bool   // the process ends when Run has returned
	started   bool   // Start has been called
	out       io.Writer
	theScreen *screen
}

// reserved are the names that no server may have: commands of this package, and those that it will have.
var reserved = []string{
	"run", "status", "logs", "start", "stop", "restart", "log-level", "top", "profile", "analyze", "kubeconfig", "reset", "snapshot",
	"config", "doctor", "completion", "version", "help", "all", serversKey, isolatedCommand, cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd,
}

// AddServer adds a server. It panics, and says why, if the server has no name or nothing to run, if another one has the
// same name or alias, if a name is reserved for a command or is that of a flag of `run`, if it has a dot, a comma, a
// space or an equals sign in it, or if a flag has the name of one of the flags that this package adds to each server.
// (The flags of a server with AddFlags are looked at when they are first made.)
func (hk *HyperKube) AddServer(s *Server) {
	switch {
	case s.Name() == "":
		panic("supervisor: AddServer: a server without a name: its SimpleUsage is empty")
	case s.Run == nil && s.Main == nil && len(s.Members) == 0:
		panic(fmt.Sprintf("supervisor: AddServer: server %q has neither Run nor Main nor Members", s.Name()))
	}
	if hk.framework == nil {
		hk.framework, hk.byName = frameworkFlags(hk.Name), map[string]*Server{}
	}
	for _, name := range s.names() {
		if strings.ContainsAny(name, "., =") {
			panic(fmt.Sprintf("supervisor: AddServer: the name %q of server %q has a character that ends a name, in front of a flag or in a list", name, s.Name()))
		}
		if slices.Contains(reserved, name) || name == hk.Name {
			panic(fmt.Sprintf("supervisor: AddServer: the name %q of server %q is reserved", name, s.Name()))
		}
		// Built-in names are reserved. Making those commands each time would take longer than all else here.
		if slices.ContainsFunc(hk.commands, func(c *Command) bool { return c.Name == name }) {
			panic(fmt.Sprintf("supervisor: AddServer: the name %q of server %q is that of a command", name, s.Name()))
		}
		if hk.framework.Lookup(name) != nil {
			panic(fmt.Sprintf("supervisor: AddServer: the name %q of server %q is that of a flag of `run`: in a config file they stand beside each other", name, s.Name()))
		}
		if other, err := hk.FindServer(name); err == nil {
			panic(fmt.Sprintf("supervisor: AddServer: the name %q of server %q is taken by server %q", name, s.Name(), other.Name()))
		}
	}
	if s.flags.set != nil {
		mustNotClash(s)
	}
	s.hk = hk
	hk.servers = append(hk.servers, s)
	for _, name := range s.names() {
		hk.byName[name] = s
	}
}

// AddCommand adds a command. It panics if the name is taken.
func (hk *HyperKube) AddCommand(c *Command) {
	if hk.command(c.Name) != nil {
		panic(fmt.Sprintf("supervisor: AddCommand: there is a command %q already", c.Name))
	}
	if _, err := hk.FindServer(c.Name); err == nil {
		panic(fmt.Sprintf("supervisor: AddCommand: %q is the name of a server", c.Name))
	}
	hk.commands = append(hk.commands, c)
}

// FindServer returns the server of that name or alias.
func (hk *HyperKube) FindServer(name string) (*Server, error) {
	if s := hk.byName[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("server not found: %s", text.Legible(name))
}

// Servers returns the servers in the order in which they were added.
func (hk *HyperKube) Servers() []*Server { return slices.Clone(hk.servers) }

// Flags is the set of the binary's own flags: those that stand before the name of a server or command.
func (hk *HyperKube) Flags() *pflag.FlagSet {
	if hk.flags == nil {
		hk.flags = newFlagSet(hk.Name)
		hk.flags.SetInterspersed(false) // flags after the first word are the server's
		hk.flags.BoolVarP(&hk.help, "help", "h", false, "help for "+hk.Name)
		hk.flags.BoolVar(&hk.version, "version", false, "print the version and exit")
		hk.flags.BoolVar(&hk.makeLinks, "make-symlinks", false, "create a soft link to this binary for each server and alias, and exit")
		hk.flags.StringVar(&hk.linkDir, "dir", "", "folder for --make-symlinks (default: the binary's)")
		hk.settings.environment(hk)
		hk.settings.addLocation(hk.flags, hk.Name)
	}
	return hk.flags
}

// Out is where help and the state of the servers are printed: what SetOut set, else standard output.
func (hk *HyperKube) Out() io.Writer {
	if hk.out == nil {
		return os.Stdout
	}
	return hk.out
}

// SetOut sets where everything is printed: help, errors, the state of the servers, and log lines, which come from other
// goroutines. There is one Write at a time: w needs no lock of its own, unless others read from it before Run returns.
func (hk *HyperKube) SetOut(w io.Writer) {
	if _, isFile := w.(*os.File); !isFile && w != nil { // a file has a lock of its own, and may be a terminal
		w = &oneAtATime{w: w}
	}
	hk.out = w
}

// errOut is where errors are printed: standard error, unless SetOut was called.
func (hk *HyperKube) errOut() io.Writer {
	if hk.out == nil {
		return os.Stderr
	}
	return hk.out
}

// oneAtATime is a writer that takes one Write at a time.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// RunToExit calls Run and exits with the code that its error asks for: 0 for none; that of an ExitError, which is 2 for
// wrong usage and whatever else is found before anything was started, and that of a command behind `--`; 1 for all
// others.
func (hk *HyperKube) RunToExit(args []string) {
	hk.exits = true
	os.Exit(exitCode(hk.Run(args)))
}

// Run does what args ask for, args[0] being the name under which the binary was called, and returns when that is done.
// An error has been printed already, with the usage where that helps.
func (hk *HyperKube) Run(args []string) error {
	if len(args) == 0 {
		args = []string{hk.Name}
	}
	arg0 := strings.TrimPrefix(args[0], "-") // which a login shell adds
	name := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	if s := hk.linked(name); s != nil {
		s.linked = true
		return hk.be(s, args[1:])
	}
	if name != hk.Name {
		hk.calledAs = callable(arg0)
	}

	flags := hk.Flags()
	wrong := func(err error) error {
		if best := text.Nearest(name, hk.serverNames()); name != hk.Name && best != "" {
			err = fmt.Errorf("%w; called as %s, it is %s, and not a server (did you mean %s?)",
				err, text.Legible(name), hk.Name, best)
		}
		return hk.wrongUsage(err, hk.usage)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return wrong(hk.misplaced(err, args[1:]))
	}
	word, rest := flags.Arg(0), flags.Args()
	switch {
	case hk.help && word != "":
		return hk.report(help(context.Background(), hk, nil, rest))
	case hk.help:
		hk.usage()
		return nil
	case hk.version:
		hk.printVersion()
		return nil
	case hk.makeLinks && word != "":
		return wrong(fmt.Errorf("--make-symlinks takes no arguments, but there is %q; --dir names the folder", word))
	case !hk.makeLinks && flags.Changed("dir"):
		return wrong(errors.New("--dir is for --make-symlinks, and means nothing without; " +
			"the folder for all state is --data-dir"))
	case !hk.makeLinks && hk.linksFlag() != "":
		return wrong(fmt.Errorf("--%s is for --make-symlinks, and means nothing without", hk.linksFlag()))
	case hk.makeLinks:
		if err := hk.makeSymlinks(); err != nil {
			return hk.report(err)
		}
		return nil
	case len(rest) == 0:
		return wrong(hk.swallowed(errors.New("no server specified"), flags))
	}
	rest = rest[1:]
	switch {
	case word == isolatedCommand:
		return hk.runIsolated(rest)
	case isCompletion(word):
		return hk.complete(word, rest)
	}
	if c := hk.command(word); c != nil {
		return hk.runCommand(c, rest)
	}
	s, err := hk.FindServer(word)
	switch {
	case err == nil:
		return hk.be(s, rest)
	case hk.areServers(word):
		return wrong(fmt.Errorf("%w; to run several, call `%s`", err, hk.typed("run", word)))
	}
	return wrong(text.Suggest(err, word, hk.words()))
}

// versionSuffix is what packagers append to the names of binaries: kube-apiserver-v1.37, etcd-3.7.2.
var versionSuffix = regexp.MustCompile(`-v?[0-9]+(\.[0-9]+)*$`)

// linked is the server that an invocation under this name is for, or nil.
func (hk *HyperKube) linked(name string) *Server {
	for _, name := range []string{name, versionSuffix.ReplaceAllString(name, "")} {
		if s, err := hk.FindServer(name); err == nil {
			return s
		}
	}
	return nil
}

// Location is a plan in which no server is selected: it tells which name and data folder the binary's own flags mean.
func (hk *HyperKube) Location() (*Plan, error) {
	hk.Flags() // gives the settings their defaults
	return hk.emptyPlan()
}

// emptyPlan is a plan with the settings, in which no server is selected.
func (hk *HyperKube) emptyPlan() (*Plan, error) {
	p, err := hk.settings.plan()
	p.hk, p.run = hk, hk.newRun(p)
	return p, err
}

// be is what the binary does when it is one server and nothing else.
func (hk *HyperKube) be(s *Server, args []string) error {
	if s.Main != nil {
		// Signals are its own business, too.
		if err := s.Main(context.Background(), s, args); err != nil {
			return hk.report(err)
		}
		return nil
	}
	if s.Run == nil {
		return hk.runServers(s, args)
	}
	ctx, stop := untilSignal()
	defer stop()
	flags := newFlagSet(s.Name())
	flags.AddFlagSet(s.Flags())
	mustHavePorts(s)
	var help bool
	if flags.Lookup("help") == nil {
		flags.BoolVarP(&help, "help", "h", false, "help for "+s.Name())
	}
	err := flags.ParseAll(args, func(f *pflag.Flag, value string) error {
		err := flags.Set(f.Name, value)
		if err == nil && s.Flags().Lookup(f.Name) != nil {
			s.flags.note(f.Name)
			s.flags.history = append(s.flags.history, assigned{f.Name, value, &source{}})
		}
		return err
	})
	if err != nil {
		return hk.wrongUsage(err, func() { hk.serverUsage(s, flags) })
	}
	if help {
		hk.serverUsage(s, flags)
		return nil
	}
	logs, there := newLogs(hk), s.at()
	there.log, there.alone = logs.Server(s.Name()), true
	func() {
		defer logs.Close() // also after a panic
		there.log.Do(func() {
			defer there.release()
			if s.Build != nil {
				err = s.Build(s.context(ctx), s)
			}
			if err == nil {
				err = s.Run(s.context(ctx), s, flags.Args())
			}
		})
	}()
	if err != nil && ctx.Err() == nil {
		return hk.report(fmt.Errorf("%s: %w", s.Name(), err))
	}
	return nil
}

// wrongUsage prints the error and then the usage, if that is not nil.
func (hk *HyperKube) wrongUsage(err error, usage func()) error {
	hk.printErrors(err)
	if usage != nil {
		out := hk.out
		hk.out = hk.errOut()
		fmt.Fprintln(hk.out)
		usage()
		hk.out = out
	}
	return usageError(err)
}

// report prints the error.
func (hk *HyperKube) report(err error) error {
	var exit *ExitError
	if err == nil || errors.As(err, &exit) && exit.Err == nil {
		return err
	}
	hk.printErrors(err)
	return err
}

// printErrors prints an error, or each of several that are joined.
func (hk *HyperKube) printErrors(err error) {
	if exit, ok := err.(*ExitError); ok {
		err = exit.Err
	}
	for _, err := range text.Errors(err) {
		fmt.Fprintf(hk.errOut(), "Error: %s\n", text.Visible(err.Error()))
	}
}

// untilSignal returns a context that ends at the first signal that asks the process to stop. A second one that is not a
// copy of it ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	caught := system.CatchStops()
	system.CatchHangup(caught)
	signals := withoutCopies(caught)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		if s, ok := <-signals; ok {
			os.Exit(system.SignalCode(s))
		}
	}()
	return ctx, func() { cancel(); system.StopSignals(caught) }
}

// now is the clock of everything that is shown.
var now = time.Now
