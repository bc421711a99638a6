package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Beside others a server's flag --port is --NAME.port. The flags that this package adds to each server stand in the same
// namespace, so no server may have one of these names.
var serverFlagNames = []string{"log-level", "log-file", "restart", "grace-period", "isolation"}

func mustNotClash(s *Server) {
	for _, name := range serverFlagNames {
		if s.flags.Lookup(name) != nil {
			panic(fmt.Sprintf("supervisor: server %q has a flag --%s: that is the name of a flag that each server gets", s.Name(), name))
		}
	}
}

// runFlags is the flag set of `run`: the framework's flags, the process-wide ones, and those of all servers under the
// servers' names.
type runFlags struct {
	*pflag.FlagSet
	hk      *HyperKube
	process map[string]*processFlag
	own     map[*Server]*serverFlags
	help    bool
}

// serverFlags are the values of the flags that this package adds to a server.
type serverFlags struct {
	level, file string
	grace       time.Duration
	restart     RestartPolicy
	isolation   Isolation
}

// addOwn adds those flags, with the server's own defaults.
func (r *runFlags) addOwn(s *Server) {
	name := s.Name()
	own := &serverFlags{restart: s.Restart, isolation: s.Isolation}
	r.own[s] = own
	r.StringVar(&own.level, name+".log-level", "", "least severe lines of "+name+" to log, and to show")
	r.StringVar(&own.file, name+".log-file", "", "file for the log of "+name+"; none for no file")
	r.DurationVar(&own.grace, name+".grace-period", grace(s), "time that "+name+" may take to stop")
	r.Var(&own.restart, name+".restart", "whether "+name+" is started again when it ends: on-failure, always or never")
	r.Var(&own.isolation, name+".isolation", "where "+name+" runs: none (with the others), or process (one of its own)")
}

func (hk *HyperKube) newRunFlags() *runFlags {
	r := &runFlags{
		FlagSet: newFlagSet(hk.Name + " run"),
		hk:      hk,
		process: map[string]*processFlag{},
		own:     map[*Server]*serverFlags{},
	}
	r.BoolVarP(&r.help, "help", "h", false, "help for run")
	hk.settings.addLocation(r.FlagSet, hk.Name)
	hk.settings.addRun(r.FlagSet)
	for _, s := range hk.servers {
		if s.Run == nil {
			continue
		}
		flags := s.Flags()
		mustNotClash(s)
		flags.VisitAll(func(f *pflag.Flag) {
			if s.processFlag(f.Name) {
				r.addProcess(s, f)
			} else {
				r.add(s, f, &serverValue{s, f})
			}
		})
		r.addOwn(s)
	}
	return r
}

// addMembers adds the flags of a composite's members without a namespace. Names that `run` has already stay what they are.
func (r *runFlags) addMembers(members []*Server) {
	for _, s := range members {
		s.Flags().VisitAll(func(f *pflag.Flag) {
			if shared := r.Lookup(f.Name); shared == nil {
				outer := *f
				outer.Shorthand = ""
				outer.Value = &memberValue{&serverValue{s, f}}
				r.AddFlag(&outer)
			} else if v, ok := shared.Value.(*memberValue); ok {
				*v = append(*v, &serverValue{s, f})
			}
		})
	}
}

// memberValue is the value of a flag without a namespace, which each of the members gets that has it.
type memberValue []*serverValue

func (v *memberValue) String() string {
	if len(*v) == 0 { // pflag asks a zero value, too
		return ""
	}
	return (*v)[0].String()
}
func (v *memberValue) Type() string { return (*v)[0].Type() }
func (v *memberValue) Set(text string) error {
	for _, member := range *v {
		if err := member.Set(text); err != nil {
			return fmt.Errorf("%s: %w", member.s.Name(), err)
		}
	}
	return nil
}

func grace(s *Server) time.Duration {
	if s.GracePeriod > 0 {
		return s.GracePeriod
	}
	return DefaultGracePeriod
}

// add adds f under the server's name.
func (r *runFlags) add(s *Server, f *pflag.Flag, value pflag.Value) {
	outer := *f
	outer.Name = s.Name() + "." + f.Name
	outer.Shorthand = "" // one letter cannot say which server
	outer.Value = value
	r.AddFlag(&outer)
}

// serverValue is the value of a namespaced flag. It sets the server's own flag through the server's own set, so that the
// server finds it Changed.
type serverValue struct {
	s *Server
	f *pflag.Flag
}

func (v *serverValue) String() string { return v.f.Value.String() }
func (v *serverValue) Type() string   { return v.f.Value.Type() }
func (v *serverValue) Set(text string) error {
	v.s.given(v.f.Name)
	return v.s.set(v.f.Name, text)
}

// processFlag is a flag that several servers have and that is kept in one place of the process.
type processFlag struct {
	name    string
	servers []*Server
	model   *pflag.Flag // the first server's
	given   []givenValue
}

// givenValue is what one spelling of the flag was given, in order.
type givenValue struct {
	place  string // the flag as it was spelt
	values []string
}

// processValue is one spelling of a processFlag. It only takes note: the value is set when it is known that all agree.
type processValue struct {
	flag  *processFlag
	s     *Server // nil for the spelling without a namespace
	place string
}

func (v *processValue) String() string { return v.flag.model.Value.String() }
func (v *processValue) Type() string   { return v.flag.model.Value.Type() }
func (v *processValue) Set(text string) error {
	if v.s != nil {
		v.s.given(v.flag.name)
	}
	for i := range v.flag.given {
		if g := &v.flag.given[i]; g.place == v.place {
			g.values = append(g.values, text)
			return nil
		}
	}
	v.flag.given = append(v.flag.given, givenValue{v.place, []string{text}})
	return nil
}

func (r *runFlags) addProcess(s *Server, f *pflag.Flag) {
	pf := r.process[f.Name]
	if pf == nil {
		if r.Lookup(f.Name) != nil {
			panic(fmt.Sprintf("supervisor: the process-wide flag --%s of server %q has the name of a flag of `run`", f.Name, s.Name()))
		}
		pf = &processFlag{name: f.Name, model: f}
		r.process[f.Name] = pf
		shared := *f
		shared.Value = &processValue{pf, nil, "--" + f.Name}
		r.AddFlag(&shared)
	}
	pf.servers = append(pf.servers, s)
	r.add(s, f, &processValue{pf, s, "--" + s.Name() + "." + f.Name})
	// The namespaced spelling is taken, but the help shows the flag once.
	r.Lookup(s.Name() + "." + f.Name).Hidden = true
}

// apply sets the process-wide flags on the selected servers that have them.
func (r *runFlags) apply(p *Plan) error {
	var names []string
	for name := range r.process {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		pf := r.process[name]
		if len(pf.given) == 0 {
			continue
		}
		first := pf.given[0]
		for _, other := range pf.given[1:] {
			if !slices.Equal(first.values, other.values) {
				return fmt.Errorf("%s=%s and %s=%s differ, but there is one value for the whole process: give it once, as --%s",
					first.place, strings.Join(first.values, ","), other.place, strings.Join(other.values, ","), name)
			}
		}
		applied := false
		for _, s := range pf.servers {
			if !slices.Contains(p.Servers, s) {
				continue
			}
			applied = true
			s.given(name)
			for _, text := range first.values {
				if err := s.set(name, text); err != nil {
					return fmt.Errorf("invalid argument %q for %q flag: %w", text, first.place, err)
				}
			}
		}
		if !applied {
			return fmt.Errorf("%s is given, but no selected server has it: it is a flag of %s", first.place, nameList(pf.servers))
		}
	}
	return nil
}

// parse reads the arguments. What it returns is the arguments that are not flags.
func (r *runFlags) parse(args []string) ([]string, error) {
	if err := r.Parse(args); err != nil {
		return nil, r.explain(err)
	}
	if n := r.ArgsLenAtDash(); n >= 0 && n < r.NArg() {
		return nil, fmt.Errorf("nothing may follow `--`, but there is %q", r.Arg(n))
	}
	return r.Args(), nil
}

// unselected returns an error if a flag was given for a server that is not selected.
func (r *runFlags) unselected(p *Plan) error {
	var err error
	r.Visit(func(f *pflag.Flag) {
		name, flag, namespaced := strings.Cut(f.Name, ".")
		if !namespaced || err != nil {
			return
		}
		if s, findErr := r.hk.FindServer(name); findErr == nil && !p.Selected(s.Name()) {
			err = fmt.Errorf("--%s is given, but %s is not selected (selected: %s): add it to the list, or leave --%s.%s out",
				f.Name, s.Name(), nameList(p.Servers), s.Name(), flag)
		}
	})
	return err
}

// explain adds to an error about an unknown flag which flag may be meant.
func (r *runFlags) explain(err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	name := unknown.GetSpecifiedName()
	var known, owners []string
	r.VisitAll(func(f *pflag.Flag) {
		known = append(known, f.Name)
		if _, flag, ok := strings.Cut(f.Name, "."); ok && flag == name {
			owners = append(owners, "--"+f.Name)
		}
	})
	if len(owners) > 0 {
		return fmt.Errorf("%w: a server's flags stand under its name: %s", err, strings.Join(owners, ", "))
	}
	for i := range known {
		known[i] = "--" + known[i]
	}
	return suggest(err, "--"+name, known)
}
