package supervisor

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/spf13/pflag"
)

// Beside other servers, a server's flag --port is --NAME.port. The flags that this package adds to each server stand in
// the same namespace, so no server may have a flag of one of these names.
var serverFlagNames = []string{"log-level", "log-file", "restart", "restart-limit", "restart-window", "restart-pause", "grace-period", "isolation"}

func mustNotClash(s *Server) {
	for _, name := range serverFlagNames {
		if s.flags.set.Lookup(name) != nil {
			panic(fmt.Sprintf("supervisor: server %q has a flag --%s: that is the name of a flag that each server gets", s.Name(), name))
		}
	}
}

// mustHavePorts panics if one of the server's Ports names a flag that the server does not have.
func mustHavePorts(s *Server) {
	for _, x := range s.Ports {
		if x.name() == "" {
			panic(fmt.Sprintf("supervisor: server %q has a Port without a flag", s.Name()))
		}
		for _, name := range []string{x.AddressFlag, x.HostFlag, x.PortFlag} {
			if name != "" && s.flags.set.Lookup(name) == nil {
				panic(fmt.Sprintf("supervisor: server %q is to listen where --%s says, and has no such flag", s.Name(), name))
			}
		}
	}
}

// runFlags is the flag set of `run`: the framework's flags, the process-wide ones, and those of all servers under the
// servers' names.
type runFlags struct {
	*pflag.FlagSet
	hk      *HyperKube
	process map[string]*processFlag
	servers map[*Server]*serverSettings
}

// serverSettings are the values of the flags that this package adds to a server.
type serverSettings struct {
	level, file string
	policy      policy
}

// addOwn adds those flags, with the server's own defaults.
func (rf *runFlags) addOwn(s *Server) {
	name := s.Name()
	own := &serverSettings{policy: s.policy()}
	rf.servers[s] = own
	rf.StringVar(&own.level, name+".log-level", "", "least severe lines of "+name+" to log, and to show")
	rf.StringVar(&own.file, name+".log-file", "", "file for the log of "+name+"; none for no file")
	rf.DurationVar(&own.policy.grace, name+".grace-period", own.policy.grace, "time that "+name+" may take to stop")
	rf.Var(&own.policy.restart, name+".restart", "whether "+name+" is started again when it ends: on-failure, always or never")
	limits := &own.policy.limits
	rf.IntVar(&limits.Failures, name+".restart-limit", cmp.Or(limits.Failures, life.DefaultFailures), "with how many failures "+name+" has failed for good")
	rf.DurationVar(&limits.Window, name+".restart-window", cmp.Or(limits.Window, life.DefaultWindow), "time for which a failure of "+name+" counts")
	rf.DurationVar(&limits.Pause, name+".restart-pause", cmp.Or(limits.Pause, life.DefaultPause), "time from a failure of "+name+" to its next start; doubles with each further one")
	rf.Var(&own.policy.isolation, name+".isolation", "where "+name+" runs: none (with the others), or process (one of its own)")
}

func (hk *HyperKube) newRunFlags() *runFlags { return hk.runFlagsInto(&hk.settings) }

// runFlagsInto returns flags that give the framework's settings their values.
func (hk *HyperKube) runFlagsInto(set *settings) *runFlags {
	rf := &runFlags{
		FlagSet: newFlagSet(hk.Name + " run"),
		hk:      hk,
		process: map[string]*processFlag{},
		servers: map[*Server]*serverSettings{},
	}
	rf.SetOutput(io.Discard)
	rf.BoolP("help", "h", false, "help for run")
	set.addLocation(rf.FlagSet, hk.Name)
	set.addRun(rf.FlagSet)
	for _, s := range hk.servers {
		if s.Run == nil {
			continue
		}
		flags := s.Flags()
		flags.SetOutput(io.Discard) // pflag tells there of flags that are deprecated; so does plan
		mustNotClash(s)
		mustHavePorts(s)
		flags.VisitAll(func(f *pflag.Flag) {
			if s.IsProcessFlag(f.Name) {
				rf.addProcess(s, f)
			} else {
				rf.add(s, f, &serverValue{s, f})
			}
		})
		rf.addOwn(s)
	}
	return rf
}

// flagsToShow returns flags of `run` that are only looked at: the settings of a run that goes on stay as they are.
func (hk *HyperKube) flagsToShow() *runFlags {
	c := hk.settings
	return hk.runFlagsInto(&c)
}

// RunFlags returns the flags of `run`, to be looked at: the framework's, those of the whole process, and those of all
// servers under the servers' names.
func (hk *HyperKube) RunFlags() *pflag.FlagSet { return hk.flagsToShow().FlagSet }

// addMembers adds the flags of a composite's members without a namespace. Names that `run` has already stay what they
// are.
func (rf *runFlags) addMembers(members []*Server) {
	for _, s := range members {
		s.Flags().VisitAll(func(f *pflag.Flag) {
			if shared := rf.Lookup(f.Name); shared == nil {
				outer := *f
				outer.Shorthand = ""
				outer.Value = &memberValue{&serverValue{s, f}}
				rf.AddFlag(&outer)
			} else if v, ok := shared.Value.(*memberValue); ok {
				*v = append(*v, &serverValue{s, f})
			}
		})
	}
}

// taker is the value of a flag of servers: it is told from where its new value is.
type taker interface{ take(a assignment) error }

// memberValue is the value of a flag without a namespace: each member that has the flag gets it.
type memberValue []*serverValue

func (v *memberValue) String() string {
	if len(*v) == 0 { // pflag asks a zero value, too
		return ""
	}
	return (*v)[0].String()
}
func (v *memberValue) Type() string          { return (*v)[0].Type() }
func (v *memberValue) Set(text string) error { return v.take(assignment{value: text}) }

func (v *memberValue) take(a assignment) error {
	for _, member := range *v {
		if err := member.take(a); err != nil {
			return fmt.Errorf("%s: %w", member.s.Name(), err)
		}
	}
	return nil
}

// add adds f under the server's name.
func (rf *runFlags) add(s *Server, f *pflag.Flag, value pflag.Value) {
	outer := *f
	outer.Name = s.Name() + "." + f.Name
	outer.Shorthand = "" // one letter cannot say which server
	outer.Value = value
	rf.AddFlag(&outer)
}

// serverValue is the value of a namespaced flag. It sets the server's own flag through the server's own set, so that
// the server finds it Changed.
type serverValue struct {
	s *Server
	f *pflag.Flag
}

func (v *serverValue) String() string        { return v.f.Value.String() }
func (v *serverValue) Type() string          { return v.f.Value.Type() }
func (v *serverValue) Set(text string) error { return v.take(assignment{value: text}) }

func (v *serverValue) take(a assignment) error {
	v.s.flags.note(v.f.Name)
	return v.s.set(v.f.Name, a.value, &a.source)
}

// processFlag is a flag that takes effect in the whole process, whichever server it is given to.
type processFlag struct {
	name    string
	servers []*Server
	model   *pflag.Flag // the first server's
	given   []assignment
}

// processValue is one spelling of a processFlag. It only notes the value, to be set when all spellings are known to
// agree.
type processValue struct {
	flag *processFlag
	s    *Server // nil for the spelling without a namespace
}

func (v *processValue) String() string        { return v.flag.model.Value.String() }
func (v *processValue) Type() string          { return v.flag.model.Value.Type() }
func (v *processValue) Set(text string) error { return v.take(assignment{value: text}) }

func (v *processValue) take(a assignment) error {
	servers := v.flag.servers
	if v.s != nil {
		servers = []*Server{v.s}
	}
	for _, s := range servers { // Need.Unless may name it
		s.flags.note(v.flag.name)
	}
	v.flag.given = append(v.flag.given, a)
	return nil
}

func (rf *runFlags) addProcess(s *Server, f *pflag.Flag) {
	pf := rf.process[f.Name]
	if pf == nil {
		if rf.Lookup(f.Name) != nil {
			panic(fmt.Sprintf("supervisor: the process-wide flag --%s of server %q has the name of a flag of `run`", f.Name, s.Name()))
		}
		if _, err := rf.hk.FindServer(f.Name); err == nil {
			panic(fmt.Sprintf("supervisor: the process-wide flag --%s of server %q has the name of a server", f.Name, s.Name()))
		}
		pf = &processFlag{name: f.Name, model: f}
		rf.process[f.Name] = pf
		shared := *f
		shared.Value = &processValue{pf, nil}
		rf.AddFlag(&shared)
	}
	pf.servers = append(pf.servers, s)
	rf.add(s, f, &processValue{pf, s})
	// The namespaced spelling is taken, but the help shows the flag once.
	rf.Lookup(s.Name() + "." + f.Name).Hidden = true
}

// apply sets the process-wide flags on the selected servers that have them. It ignores those of files and of the
// environment where unselected does.
func (rf *runFlags) apply(p *Plan, named bool) (wrong problems) {
	for _, name := range slices.Sorted(maps.Keys(rf.process)) {
		pf := rf.process[name]
		given := slices.DeleteFunc(slices.Clone(pf.given), func(a assignment) bool {
			s := rf.server(a.flag)
			return s != nil && !p.runs(s) // unselected has found it, if it is wrong
		})
		if len(given) == 0 {
			continue
		}
		chosen, err := rf.agreed(pf, given)
		if err != nil {
			wrong.add(err)
			continue
		}
		applied := false
		for _, s := range pf.servers {
			if !p.runs(s) {
				continue
			}
			applied = true
			if err := s.setProcess(name, chosen); err != nil { // the others would say the same
				wrong.add(err)
				break
			}
		}
		if last := given[len(given)-1]; !applied && (!named || last.source.arguments()) {
			wrong.add(fmt.Errorf("%s is given, but no selected server has it: it is a flag of %s", last, nameList(pf.servers)))
		}
	}
	return wrong
}

// setProcess sets a process-wide flag.
func (s *Server) setProcess(name string, given []assignment) error {
	s.flags.note(name)
	for _, a := range given {
		if err := s.set(name, a.value, &a.source); err != nil {
			return a.invalid(err)
		}
	}
	return nil
}

// agreed returns the assignments to one spelling of the flag. Those to others must come to the same.
func (rf *runFlags) agreed(pf *processFlag, given []assignment) ([]assignment, error) {
	var spellings [][]assignment
	for _, a := range given {
		i := slices.IndexFunc(spellings, func(s []assignment) bool { return s[0].flag == a.flag })
		if i < 0 {
			i = len(spellings)
			spellings = append(spellings, nil)
		}
		spellings[i] = append(spellings[i], a)
	}
	first := spellings[0]
	for _, other := range spellings[1:] {
		if !slices.Equal(rf.outcome(first), rf.outcome(other)) {
			return nil, fmt.Errorf("%s and %s differ, but there is one value for the whole process: give it once, as --%s",
				equation(first), equation(other), pf.name)
		}
	}
	return first, nil
}

// outcome is the value that the assignments to one flag result in, in a form to compare.
func (rf *runFlags) outcome(given []assignment) []string {
	t := rf.typeOf(given[0].flag)
	if t == SingleValue || t == CommaSeparated {
		return []string{given[len(given)-1].value}
	}
	var values []string
	for _, a := range given {
		values = append(values, strings.Split(a.value, ",")...)
	}
	if t != Pairs {
		return values
	}
	pairs := map[string]string{} // the last value of each key
	for _, pair := range values {
		key, value, _ := strings.Cut(pair, "=")
		pairs[key] = value
	}
	values = nil
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		values = append(values, key+"="+pairs[key])
	}
	return values
}

// equation is the assignments as a user would write them.
func equation(given []assignment) string {
	var values []string
	for _, a := range given {
		values = append(values, a.value)
	}
	last := given[len(given)-1]
	text := "--" + last.flag.Name
	if !isSecret(last.flag, values) {
		text += "=" + strings.Join(values, ",")
	}
	if last.source.arguments() {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, last.source)
}

// unselected is an error for each flag that was given for a server that is not selected. If the command line names the
// servers, assignments from elsewhere to others are ignored: they are for other calls.
func (rf *runFlags) unselected(p *Plan, given []assignment, named bool) (wrong problems) {
	for i, a := range given {
		s := rf.server(a.flag)
		if s == nil || p.runs(s) || !isLast(given, i) || named && !a.source.arguments() {
			continue
		}
		wrong.add(fmt.Errorf("%s is given, but %s is not selected (selected: %s): add it to the list, or leave --%s out",
			a, s.Name(), nameList(p.Servers), a.flag.Name))
	}
	return wrong
}
