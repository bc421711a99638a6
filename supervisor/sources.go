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

// Flags of `run` get their values from files, from the environment and from the arguments. Each of these is read into
// assignments, and these are carried out one after another, as if all of them stood on one command line, the strongest
// source last: the last value of a flag counts, and what a flag collects, such as labels, it collects from all of them.
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

// arguments reports whether it is the arguments.
func (s source) arguments() bool { return s == source{} }

func (s source) String() string {
	switch {
	case s.variable != "":
		return s.variable
	case s.file != "":
		return fmt.Sprintf("%s:%d", s.file, s.line)
	}
	return "command line"
}

// isIn reports whether a text names it.
func (s source) isIn(text string) bool {
	for name := s.String(); ; {
		_, rest, found := strings.Cut(text, name)
		if !found || rest == "" || rest[0] < '0' || rest[0] > '9' { // otherwise it is a later line
			return found
		}
		text = rest
	}
}

// wrong is an error about what stands there.
func (s source) wrong(err error) error {
	if s.arguments() {
		return err
	}
	return fmt.Errorf("%s: %w", s, err)
}

// String is the flag as it would be given in the arguments, and where it stands if that is elsewhere.
func (a assignment) String() string {
	if a.source.arguments() {
		return "--" + a.flag.Name
	}
	return fmt.Sprintf("--%s (%s)", a.flag.Name, a.source)
}

// isLast reports whether no later one of the assignments is to the same flag as that one.
func isLast(given []assignment, i int) bool {
	return !slices.ContainsFunc(given[i+1:], func(b assignment) bool { return b.flag == given[i].flag })
}

// server is the server whose flag it is, or nil.
func (r *runFlags) server(f *pflag.Flag) *Server {
	name, _, namespaced := strings.Cut(f.Name, ".")
	if !namespaced {
		return nil
	}
	s, err := r.hk.FindServer(name)
	if err != nil {
		return nil
	}
	return s
}

// assign carries the assignments out.
func (r *runFlags) assign(given []assignment) (wrong problems) {
	for _, a := range given {
		var err error
		if v, ok := a.flag.Value.(taker); ok {
			err = v.take(a)
		} else if before := a.flag.Value.String(); r.Set(a.flag.Name, a.value) != nil {
			err = a.flag.Value.Set(a.value)
			_ = a.flag.Value.Set(before) // numbers are 0 now, which would be found to be wrong once more
		}
		if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			err = invalid.Unwrap()
		}
		if err != nil {
			wrong.add(a.invalid(err), r.takers(a.flag)...)
		}
	}
	return wrong
}

// takers are the servers that get a flag's value.
func (r *runFlags) takers(f *pflag.Flag) []*Server {
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
	if s := r.server(f); s != nil {
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

// onlyArguments are the flags that are not taken from elsewhere: they say what to do, and not how.
var onlyArguments = []string{"help", "print-config"}

// environment reads the environment, of which variables without a value are no part, nor those that no user has set.
// What it cannot make sense of, but looks as if it were meant, is worth a warning.
func (r *runFlags) environment(environ []string) (given []assignment, warnings []string, wrong problems) {
	environ = slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, value, _ := strings.Cut(pair, "=")
		return value == "" || !strings.HasPrefix(name, r.hk.variablePrefix())
	})
	if len(environ) == 0 {
		return nil, nil, wrong
	}
	slices.Sort(environ)
	flags := map[string][]*pflag.Flag{}
	r.VisitAll(func(f *pflag.Flag) {
		if !isMember(f) && !slices.Contains(onlyArguments, f.Name) {
			name := r.hk.variableOf(f.Name)
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
			s := r.variableServer(name)
			warning, err := r.unknownVariable(name, s, flags)
			wrong.add(err, s)
			if warning != "" {
				warnings = append(warnings, warning)
			}
		case 1:
			given = append(given, assignment{found[0], value, source{variable: name}})
		default:
			wrong.add(fmt.Errorf("%s may mean %s: use the command line or a file", name, flagList(found, " and ")), r.takers(found[0])...)
		}
	}
	name := ""
	for _, a := range given {
		if a.flag.Name == "name" {
			name = a.value
		}
	}
	given = slices.DeleteFunc(given, func(a assignment) bool { return a.flag.Name == "data-dir" && r.hk.isFolderOf(name, a.value) })
	return given, warnings, wrong
}

// isFolderOf reports whether a folder is the one that servers of this name have anyway. Where the environment has both,
// as for a command of `run -- COMMAND`, the folder says no more than the name: another --name on the command line means
// another folder, too.
func (hk *HyperKube) isFolderOf(name, folder string) bool {
	own, err := stateFolder(hk.Name, cmp.Or(name, hk.Name))
	return err == nil && own == folder
}

// variableServer is the server after which the variable is named, or nil.
func (r *runFlags) variableServer(name string) *Server {
	var found *Server
	for _, s := range r.hk.servers {
		// The longest one counts, if one's name begins with another's.
		if s.Run != nil && strings.HasPrefix(name, r.hk.variableOf(s.Name())+"_") && (found == nil || len(s.Name()) > len(found.Name())) {
			found = s
		}
	}
	return found
}

// unknownVariable says what to think of a variable that is named as if it were for a flag. Named after a server, it is
// an error; otherwise it may be anybody's.
func (r *runFlags) unknownVariable(name string, s *Server, flags map[string][]*pflag.Flag) (warning string, err error) {
	prefix := r.hk.variablePrefix()
	var known []string
	for variable, of := range flags {
		if s != nil || r.server(of[0]) == nil {
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
		return "", fmt.Errorf("%s: %s has no such flag: see `%s`", name, s.Name(), r.hk.typed("help", s.Name()))
	case name == prefix+variableName(serversKey):
		return fmt.Sprintf("the environment's variable %s means nothing: name servers on the command line, or in a file", name), nil
	case best == "":
		best = r.byAlias(name, flags)
	}
	if best == "" {
		return "", nil
	}
	return fmt.Sprintf("the environment's variable %s means nothing (did you mean %s?)", name, best), nil
}

// byAlias is the variable that is meant by one with another name of its server, or "".
func (r *runFlags) byAlias(name string, flags map[string][]*pflag.Flag) string {
	for _, s := range r.hk.servers {
		for _, alias := range s.Aliases {
			if flag, ok := strings.CutPrefix(name, r.hk.variableOf(alias)+"_"); ok {
				if meant := r.hk.variableOf(s.Name()) + "_" + flag; flags[meant] != nil {
					return meant
				}
			}
		}
	}
	return ""
}

// environment takes from the environment what commands have flags for, too: name and data-dir.
func (c *settings) environment(hk *HyperKube) {
	c.name = cmp.Or(os.Getenv(hk.variableOf("name")), c.name)
	if folder := os.Getenv(hk.variableOf("data-dir")); folder != "" && !hk.isFolderOf(c.name, folder) {
		c.dataDir = folder
	}
}

// locateVariables adds to an error where the flags that it names were given, if that is the environment: commands take
// name and data-dir from there.
func (hk *HyperKube) locateVariables(err error, flags *pflag.FlagSet) error {
	for _, name := range []string{"name", "data-dir"} {
		variable := hk.variableOf(name)
		if mentions(err.Error(), name) && os.Getenv(variable) != "" && !flags.Changed(name) && !hk.Flags().Changed(name) {
			err = fmt.Errorf("%w (--%s is from %s)", err, name, variable)
		}
	}
	return err
}

// before are the flags of `run` that stood in front of the word.
func (r *runFlags) before() (given []assignment) {
	r.hk.Flags().Visit(func(f *pflag.Flag) {
		if own := r.Lookup(f.Name); own != nil {
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
func (r *runFlags) gather(args, environ []string) *given {
	names, arguments, command, wrong := r.read(args)
	g := &given{flags: r, command: command, wrong: wrong}
	for _, a := range arguments {
		yes, _ := strconv.ParseBool(a.value)
		g.help = g.help || a.flag.Name == "help" && yes
	}
	if g.help {
		return g
	}
	variables, warnings, wrongVariables := r.environment(environ)
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
	c, wrongFiles := r.files(paths)
	g.assignments = slices.Concat(c.given, variables, r.before(), arguments)
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

// locate adds to each of the errors that are joined in one where the flags that it names were given, where that is not
// the command line. Errors of a server may name its flags as it does.
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

// mentions reports whether a text has the flag of that name in it.
func mentions(text, flag string) bool {
	for {
		_, rest, found := strings.Cut(text, "--"+flag)
		if !found || !flagGoesOn.MatchString(rest) {
			return found
		}
		text = rest
	}
}

// flagGoesOn is what follows the beginning of a flag's name, if it is longer than that.
var flagGoesOn = regexp.MustCompile(`^[.-]?[A-Za-z0-9_]`)
