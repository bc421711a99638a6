package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Flags of `run` get their values from files, from the environment and from the arguments. Each source is read into
// assignments, which are carried out one after another, as if all of them stood on one command line, the strongest
// source last. The last value of a flag counts; a flag that collects values, such as labels, collects those of all
// sources.
//
//	files, in the order in which they are named  →  environment  →  arguments  →  assign  →  Defaults
//
// The servers' own defaults come last and give way, because they depend on what was given.

// assignment is a value that the user gives to a flag of `run`.
type assignment struct {
	flag   *pflag.Flag
	value  string
	source source
}

// source is where an assignment stands.
type source struct {
	variable string // of the environment
	file     string
	line     int // in the file
}

// arguments reports whether the source is the arguments.
func (src source) arguments() bool { return src == source{} }

func (src source) String() string {
	switch {
	case src.variable != "":
		return src.variable
	case src.file != "":
		return fmt.Sprintf("%s:%d", src.file, src.line)
	}
	return "command line"
}

// isIn reports whether a text names the source.
func (src source) isIn(text string) bool {
	for name := src.String(); ; {
		_, rest, found := strings.Cut(text, name)
		if !found || rest == "" || rest[0] < '0' || rest[0] > '9' { // otherwise it is a later line
			return found
		}
		text = rest
	}
}

// wrong is an error about what stands there.
func (src source) wrong(err error) error {
	if src.arguments() {
		return err
	}
	return fmt.Errorf("%s: %w", src, err)
}

// String is the flag as it would be given in the arguments, and where it stands if that is elsewhere.
func (a assignment) String() string {
	if a.source.arguments() {
		return "--" + a.flag.Name
	}
	return fmt.Sprintf("--%s (%s)", a.flag.Name, a.source)
}

// isLast reports whether assignment i is the last one to its flag.
func isLast(given []assignment, i int) bool {
	return !slices.ContainsFunc(given[i+1:], func(b assignment) bool { return b.flag == given[i].flag })
}

// server is the server whose flag it is, or nil.
func (rf *runFlags) server(f *pflag.Flag) *Server {
	name, _, namespaced := strings.Cut(f.Name, ".")
	if !namespaced {
		return nil
	}
	s, err := rf.hk.FindServer(name)
	if err != nil {
		return nil
	}
	return s
}

// assign carries the assignments out.
func (rf *runFlags) assign(given []assignment) (wrong problems) {
	for _, a := range given {
		var err error
		if v, ok := a.flag.Value.(taker); ok {
			err = v.take(a)
		} else if before := a.flag.Value.String(); rf.Set(a.flag.Name, a.value) != nil {
			err = a.flag.Value.Set(a.value)
			_ = a.flag.Value.Set(before) // numbers are 0 now, which would be one more error
		}
		if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			err = invalid.Unwrap()
		}
		if err != nil {
			wrong.add(a.invalid(err), rf.takers(a.flag)...)
		}
	}
	return wrong
}

// takers are the servers that get a flag's value.
func (rf *runFlags) takers(f *pflag.Flag) []*Server {
	switch v := f.Value.(type) {
	case *processValue:
		return v.flag.servers
	case *memberValue:
		var servers []*Server
		for _, member := range *v {
			servers = append(servers, member.s)
		}
		return servers
	}
	if s := rf.server(f); s != nil {
		return []*Server{s}
	}
	return nil
}

// invalid is the error about a value that the flag does not take.
func (a assignment) invalid(err error) error {
	if isSecret(a.flag, []string{a.value}) {
		return a.source.wrong(fmt.Errorf("invalid value for --%s: it is a secret, so neither it nor what is wrong with it is shown", a.flag.Name))
	}
	if a.source.arguments() { // pflag's words
		return fmt.Errorf("invalid argument %q for %q flag: %w", a.value, "--"+a.flag.Name, err)
	}
	return fmt.Errorf("%s: invalid value %q for --%s: %w", a.source, a.value, a.flag.Name, err)
}

// variableOf is the name of the environment's variable for a flag of `run`.
func (hk *HyperKube) variableOf(flag string) string {
	return hk.variablePrefix() + variableName(flag)
}

func (hk *HyperKube) variablePrefix() string { return variableName(hk.Name) + "_" }

func variableName(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(text))
}

// onlyArguments are flags for the arguments alone: they say what to do, and not how.
var onlyArguments = []string{"help", "print-config"}

// environment reads the environment. It skips empty variables, and those that no user has set. It warns of a variable
// that looks as if it were meant for a flag, but is for none.
func (rf *runFlags) environment(environ []string) (given []assignment, warnings []string, wrong problems) {
	environ = slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, value, _ := strings.Cut(pair, "=")
		return value == "" || !strings.HasPrefix(name, rf.hk.variablePrefix())
	})
	if len(environ) == 0 {
		return nil, nil, wrong
	}
	slices.Sort(environ)
	flags := map[string][]*pflag.Flag{}
	rf.VisitAll(func(f *pflag.Flag) {
		if !isMember(f) && !slices.Contains(onlyArguments, f.Name) {
			name := rf.hk.variableOf(f.Name)
			flags[name] = append(flags[name], f)
		}
	})
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		found := flags[name]
		if isServiceLink(name, value, len(found) > 0) {
			continue
		}
		switch len(found) {
		case 0:
			s := rf.variableServer(name)
			warning, err := rf.unknownVariable(name, s, flags)
			wrong.add(err, s)
			if warning != "" {
				warnings = append(warnings, warning)
			}
		case 1:
			given = append(given, assignment{found[0], value, source{variable: name}})
		default:
			wrong.add(fmt.Errorf("%s may mean %s: use the command line or a file", name, flagList(found, " and ")), rf.takers(found[0])...)
		}
	}
	name := ""
	for _, a := range given {
		if a.flag.Name == "name" {
			name = a.value
		}
	}
	given = slices.DeleteFunc(given, func(a assignment) bool { return a.flag.Name == "data-dir" && rf.hk.isFolderOf(name, a.value) })
	return given, warnings, wrong
}

// isFolderOf reports whether a folder is the default one for servers of this name. If the environment has both, as for
// a command of `run -- COMMAND`, the folder only follows from the name: another --name on the command line means
// another folder, too.
func (hk *HyperKube) isFolderOf(name, folder string) bool {
	own, err := stateFolder(hk.Name, cmp.Or(name, hk.Name))
	return err == nil && own == folder
}

// variableServer is the server after which the variable is named, or nil.
func (rf *runFlags) variableServer(name string) *Server {
	var found *Server
	for _, s := range rf.hk.servers {
		// The longest one counts, if one's name begins with another's.
		if s.Run != nil && strings.HasPrefix(name, rf.hk.variableOf(s.Name())+"_") && (found == nil || len(s.Name()) > len(found.Name())) {
			found = s
		}
	}
	return found
}

// unknownVariable returns a warning or an error about a variable that is for no flag. Named after a server, it is an
// error; otherwise it may be for another program.
func (rf *runFlags) unknownVariable(name string, s *Server, flags map[string][]*pflag.Flag) (warning string, err error) {
	prefix := rf.hk.variablePrefix()
	var known []string
	for variable, of := range flags {
		if s != nil || rf.server(of[0]) == nil {
			known = append(known, strings.TrimPrefix(variable, prefix))
		}
	}
	slices.Sort(known)
	best := text.Nearest(strings.TrimPrefix(name, prefix), known)
	if best != "" {
		best = prefix + best
	}
	switch {
	case s != nil && best != "":
		return "", fmt.Errorf("%s: %s has no such flag (did you mean %s?)", name, s.Name(), best)
	case s != nil:
		return "", fmt.Errorf("%s: %s has no such flag: see `%s`", name, s.Name(), rf.hk.typed("help", s.Name()))
	case name == prefix+variableName(serversKey):
		return fmt.Sprintf("the environment's variable %s means nothing: name servers on the command line, or in a file", name), nil
	case best == "":
		best = rf.byAlias(name, flags)
	}
	if best == "" {
		return "", nil
	}
	return fmt.Sprintf("the environment's variable %s means nothing (did you mean %s?)", name, best), nil
}

// byAlias is the variable that one with an alias of its server stands for, or "".
func (rf *runFlags) byAlias(name string, flags map[string][]*pflag.Flag) string {
	for _, s := range rf.hk.servers {
		for _, alias := range s.Aliases {
			if flag, ok := strings.CutPrefix(name, rf.hk.variableOf(alias)+"_"); ok {
				if meant := rf.hk.variableOf(s.Name()) + "_" + flag; flags[meant] != nil {
					return meant
				}
			}
		}
	}
	return ""
}

// environment takes from the environment what commands have flags for, too: name and data-dir.
func (set *settings) environment(hk *HyperKube) {
	set.name = cmp.Or(os.Getenv(hk.variableOf("name")), set.name)
	if folder := os.Getenv(hk.variableOf("data-dir")); folder != "" && !hk.isFolderOf(set.name, folder) {
		set.dataDir = folder
	}
}

// locateVariables adds to an error which flags that it names are from the environment: commands take name and data-dir
// from there.
func (hk *HyperKube) locateVariables(err error, flags *pflag.FlagSet) error {
	for _, name := range []string{"name", "data-dir"} {
		variable := hk.variableOf(name)
		if mentions(err.Error(), name) && os.Getenv(variable) != "" && !flags.Changed(name) && !hk.Flags().Changed(name) {
			err = fmt.Errorf("%w (--%s is from %s)", err, name, variable)
		}
	}
	return err
}

// before are the flags of `run` that stood before the word.
func (rf *runFlags) before() (given []assignment) {
	rf.hk.Flags().Visit(func(f *pflag.Flag) {
		if own := rf.Lookup(f.Name); own != nil {
			given = append(given, assignment{flag: own, value: f.Value.String()})
		}
	})
	return given
}

// given is what the user gave to a run, and what follows from it.
type given struct {
	flags       *runFlags
	assignments []assignment // the weakest first
	names       []string     // of servers
	named       bool         // on the command line
	at          source       // of the names, if they are from a file
	command     []string     // behind `--`; nil for none
	help        bool
	warnings    []string
	joined      []joined // servers that nobody has named
	wrong       problems // what has been found so far
}

// gather brings all sources together.
func (rf *runFlags) gather(args, environ []string) *given {
	names, arguments, command, wrong := rf.read(args)
	g := &given{flags: rf, command: command, wrong: wrong}
	for _, a := range arguments {
		yes, _ := strconv.ParseBool(a.value)
		g.help = g.help || a.flag.Name == "help" && yes
	}
	if g.help {
		return g
	}
	variables, warnings, wrongVariables := rf.environment(environ)
	g.warnings = warnings
	paths, fromVariable := []string(nil), []string(nil)
	for _, a := range variables {
		if a.flag.Name == configFlag {
			fromVariable = splitPaths(a.value)
		}
	}
	for _, a := range arguments {
		if a.flag.Name == configFlag {
			paths = append(paths, a.value)
		}
	}
	if len(paths) == 0 { // who names files means these and no others
		paths = fromVariable
	}
	c, wrongFiles := rf.files(paths)
	g.assignments = slices.Concat(c.given, variables, rf.before(), arguments)
	if g.names, g.named = names, len(splitNames(names)) > 0; !g.named {
		g.names, g.at = c.names, c.servers
	}
	g.wrong.join(wrongVariables)
	g.wrong.join(wrongFiles)
	return g
}

// splitPaths are the files that a variable names.
func splitPaths(list string) []string {
	return slices.DeleteFunc(filepath.SplitList(list), func(path string) bool { return path == "" })
}

// locate adds to each error that is joined in err where the flags that it names were given, unless on the command line.
// Errors of a server may name its flags without a namespace.
func (p *Plan) locate(err error, s *Server) error {
	if err == nil {
		return nil
	}
	var located []error
	for _, err := range text.Errors(err) {
		located = append(located, p.locateOne(err, s))
	}
	return errors.Join(located...)
}

func (p *Plan) locateOne(err error, s *Server) error {
	text := err.Error()
	var notes []string
	for i, a := range p.given.assignments {
		told := func(b assignment) bool { return b.flag == a.flag && !b.source.arguments() && b.source.isIn(text) }
		if a.source.arguments() || slices.ContainsFunc(p.given.assignments, told) {
			continue
		}
		own, ofServer := "", false
		if s != nil {
			own, ofServer = strings.CutPrefix(a.flag.Name, s.Name()+".")
		}
		counts := isLast(p.given.assignments, i) || p.given.flags.collects(a.flag)
		if counts && (mentions(text, a.flag.Name) || ofServer && mentions(text, own)) {
			notes = append(notes, fmt.Sprintf("--%s is from %s", a.flag.Name, a.source))
		}
	}
	if len(notes) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(slices.Compact(notes), ", "))
}

// located is locate for all that is wrong.
func (p *Plan) located(wrong problems) problems {
	for i, err := range wrong.errs {
		wrong.errs[i] = p.locateOne(err, nil)
	}
	return wrong
}

// mentions reports whether a text names the flag.
func mentions(text, flag string) bool {
	for {
		_, rest, found := strings.Cut(text, "--"+flag)
		if !found || !flagGoesOn.MatchString(rest) {
			return found
		}
		text = rest
	}
}

// flagGoesOn matches what follows in a text if the flag's name is longer than what was found.
var flagGoesOn = regexp.MustCompile(`^[.-]?[A-Za-z0-9_]`)
