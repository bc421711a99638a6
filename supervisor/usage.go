package supervisor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// AnnotationProminent is the key of a flag's annotation (pflag.FlagSet.SetAnnotation), with any value: if the flag is
// one of Server.ProcessFlags, it stands in the help of `run` with what it is for, as those of Server.JoinsWith do, and
// not only with its name.
const AnnotationProminent = "supervisor.prominent"

// flagGroup is a heading in a server's help, and the flags below it.
type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// usage prints what the binary is and which servers and commands it has.
func (hk *HyperKube) usage() {
	out := hk.Out()
	columns := system.HelpWidth(out)
	if hk.Long != "" {
		fmt.Fprintf(out, "%s\n", text.Wrap(hk.Long, "", columns))
	}
	fmt.Fprintf(out, "Usage\n\n")
	program := hk.typed()
	fmt.Fprintf(out, "  %s run [SERVER,SERVER...] [flags] [-- COMMAND...]\n", program)
	fmt.Fprintf(out, "  %s SERVER [flags]\n", program)
	fmt.Fprintf(out, "  %s COMMAND [flags]\n", program)
	fmt.Fprintf(out, "\nServers\n")
	for _, s := range hk.servers {
		name := s.Name()
		if len(s.Aliases) > 0 {
			name += " (" + strings.Join(s.Aliases, ", ") + ")"
		}
		fmt.Fprintf(out, "\n  %s\n%s", name, text.Wrap(s.Long, "    ", columns))
	}
	fmt.Fprintf(out, "\nCommands\n\n")
	var commands [][2]string
	for _, c := range hk.allCommands() {
		commands = append(commands, [2]string{c.Name, c.Short})
	}
	text.Table(out, "  ", commands, columns)
	fmt.Fprintf(out, "\nFlags\n\n%s\n", marks{}.usages(hk.Flags(), columns))
	fmt.Fprint(out, text.Wrap(fmt.Sprintf("Call '%[1]s run --help' for running several servers, '%[1]s help SERVER' for a server's flags, "+
		"'%[1]s help flag WORD' to search the flags of all, '%[1]s help topics' for what else there is to read about.", program), "", columns))
}

// usage prints what the server is and which flags it has, to the HyperKube's Out, or to standard output if the server
// was added to none.
func (s *Server) usage() {
	hk := s.hk
	if hk == nil {
		hk = &HyperKube{}
	}
	// Without the values that `run` sets by itself: finding them sets the flags, and the server may be running.
	hk.printServer(s, s.Flags(), nil)
}

// serverUsage prints the help of a server. It sets the server's flags: the process can only end after it.
func (hk *HyperKube) serverUsage(s *Server, flags *pflag.FlagSet) {
	hk.printServer(s, flags, hk.runDefaults(s))
}

func (hk *HyperKube) printServer(s *Server, flags *pflag.FlagSet, m marks) {
	if len(s.Members) > 0 && s.Run == nil {
		hk.compositeUsage(s)
		return
	}
	out := hk.Out()
	columns := system.HelpWidth(out)
	if s.Long != "" {
		fmt.Fprintf(out, "%s\n", text.Wrap(s.Long, "", columns))
	}
	fmt.Fprintf(out, "Usage\n\n")
	m = m.of(flags)
	beside := hk.Name != "" && s.Run != nil
	if beside {
		hk.spellings(s, m, columns)
	} else {
		fmt.Fprintf(out, "  %s\n", hk.called(s))
	}
	// Flags in no group come first.
	rest := newFlagSet(s.Name())
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.ContainsFunc(s.flags.groups, func(g flagGroup) bool { return g.flags.Lookup(f.Name) != nil }) {
			rest.AddFlag(f)
		}
	})
	if rest.HasAvailableFlags() {
		fmt.Fprintf(out, "\nFlags\n\n%s", m.usages(rest, columns))
	}
	for _, g := range s.flags.groups {
		if g.flags.HasAvailableFlags() {
			fmt.Fprintf(out, "\n%s flags\n\n%s", text.Capital(g.heading), m.usages(g.flags, columns))
		}
	}
	if beside {
		added := &runFlags{FlagSet: newFlagSet(""), servers: map[*Server]*serverSettings{}}
		added.addOwn(s)
		fmt.Fprintf(out, "\nFlags that `%s run` adds\n\n%s", hk.typed(), m.usages(added.FlagSet, columns))
	}
}

// called is how a server is called alone.
func (hk *HyperKube) called(s *Server) string {
	if hk.Name == "" || s.linked {
		return s.SimpleUsage + " [flags]"
	}
	return hk.typed() + " " + s.SimpleUsage + " [flags]"
}

// spellings prints how a server is called, how its flags are spelled and what stands behind them.
func (hk *HyperKube) spellings(s *Server, m marks, columns int) {
	out, name, program := hk.Out(), s.Name(), hk.typed()
	text.Table(out, "  ", [][2]string{
		{hk.called(s), "alone"},
		{fmt.Sprintf("%s run %s [--%[2]s.FLAG...]", program, name), "beside others"},
	}, columns)
	explanation := fmt.Sprintf("Alone, it takes the flags as they stand below. For `%[1]s run`, --FLAG is --%[2]s.FLAG, or %[3]s_FLAG in the "+
		"environment (with _ for each - in FLAG).", program, name, hk.variableOf(name))
	if len(m) > 0 {
		explanation += fmt.Sprintf(" What it sets by itself is marked (%[1]s run: VALUE).", hk.Name)
	}
	if m.mention(dataDirName) {
		explanation += fmt.Sprintf(" %s is the data folder: see `%s run --help`.", dataDirName, program)
	}
	fmt.Fprintf(out, "\n%s", text.Wrap(explanation, "", columns))
}

// compositeUsage prints what a server with members is, and whose flags it takes.
func (hk *HyperKube) compositeUsage(s *Server) {
	out := hk.Out()
	if s.Long != "" {
		fmt.Fprintf(out, "%s\n", text.Wrap(s.Long, "", system.HelpWidth(out)))
	}
	fmt.Fprintf(out, "Usage\n\n  %s\n  %s run %s [--SERVER.FLAG...]\n", hk.called(s), hk.typed(), s.Name())
	members := strings.Join(s.Members, ", ")
	fmt.Fprintf(out, "\nServers\n\n%s", text.Wrap(members, "  ", system.HelpWidth(out)))
	fmt.Fprintf(out, "\nFlags\n\n%s", text.Wrap(fmt.Sprintf("Those of `%[1]s run`, --SERVER.FLAG included. Called as %[2]s, it takes the flags of "+
		"%[3]s without SERVER, too: each of them that has such a flag gets it. See `%[1]s run --help` and `%[1]s help SERVER`.",
		hk.typed(), s.Name(), members), "  ", system.HelpWidth(out)))
}

// runUsage prints the help of `run`: its own flags, and where to find those of the servers. It has to fit on one
// screen, so there is no blank line below a heading.
func (hk *HyperKube) runUsage() {
	out, program := hk.Out(), hk.typed()
	columns := system.HelpWidth(out)
	fmt.Fprint(out, text.Wrap("Run servers in this process until Ctrl-C or COMMAND's end. Each starts when what it needs is ready, "+
		"COMMAND after all; what is needed joins by itself.", "", columns))
	fmt.Fprintf(out, "\nUsage\n  %s run [SERVER,SERVER...] [flags] [-- COMMAND...]\n", program)
	fmt.Fprintf(out, "\nExamples\n")
	text.Table(out, "  ", hk.examples(), columns)
	fmt.Fprintf(out, "\nServers\n%s", text.Wrap(fmt.Sprintf("%s. None named means %s.",
		strings.Join(hk.runnable(), ", "), strings.Join(hk.defaultNames(), ",")), "  ", columns))
	own, process := frameworkFlags(hk.Name), hk.processFlagNames()
	own.Lookup("admin-listen").Hidden = true // few need it, and the screen is full; `help flag` has it
	process = slices.DeleteFunc(process, func(name string) bool {
		f := hk.prominent(name)
		if f != nil {
			own.AddFlag(f)
		}
		return f != nil
	})
	fmt.Fprintf(out, "\nFlags\n%s", marks{}.usages(own, columns))
	fmt.Fprintf(out, "\nFlags of each server\n")
	text.Table(out, "      ", [][2]string{
		{"--SERVER.FLAG", fmt.Sprintf("any of its own: see `%s help SERVER`", program)},
		{"--SERVER.log-level string", "as --log-level, for this server"},
		{"--SERVER.log-file string", "file for its log; none for no file"},
		{"--SERVER.restart policy", "restart it on-failure, always or never"},
		{"--SERVER.grace-period duration", "time that it may take to stop"},
		{"--SERVER.isolation kind", "process (a process of its own) or none"},
	}, columns)
	if len(process) > 0 {
		fmt.Fprintf(out, "\nFlags of the whole process\n%s", text.Wrap("--"+strings.Join(process, ", --"), "      ", columns))
	}
	fmt.Fprintf(out, "\n%s", text.Wrap(fmt.Sprintf("A value is from the command line, else %sSERVER_FLAG, a file, or %s itself.",
		hk.variablePrefix(), hk.Name), "", columns))
	fmt.Fprint(out, text.Wrap(fmt.Sprintf("More: %[1]s help SERVER, %[1]s help flag WORD, %[1]s config schema, %[1]s completion SHELL", program), "", columns))
}

// prominent is the process-wide flag of that name, if the help of `run` shows its description, or nil.
func (hk *HyperKube) prominent(name string) *pflag.Flag {
	for _, s := range hk.servers {
		f := s.Flags().Lookup(name)
		if f != nil && (slices.Contains(s.JoinsWith, name) || len(f.Annotations[AnnotationProminent]) > 0) {
			return f
		}
	}
	return nil
}

// examples are calls of `run` with names of this binary's servers, and what they do.
func (hk *HyperKube) examples() [][2]string {
	run := hk.typed("run")
	examples := [][2]string{{run, "the default servers"}}
	var two []string // servers that have flags
	for _, name := range hk.defaultNames() {
		if s, err := hk.FindServer(name); err == nil && s.Run != nil && len(two) < 2 {
			two = append(two, s.Name())
		}
	}
	if len(two) > 0 {
		examples = append(examples, [2]string{fmt.Sprintf("%s %s --%s.log-level=debug", run, strings.Join(two, ","), two[0]),
			[]string{"one server, and a flag of it", "two servers, a flag of one"}[len(two)-1]})
	}
	return append(examples, [2]string{run + " --ephemeral -- make test", "a command; the run ends with it"})
}

// processFlagNames are the names of the flags that exist once for the process, as far as they are shown.
func (hk *HyperKube) processFlagNames() []string {
	var names []string
	for _, s := range hk.servers {
		for _, name := range s.ProcessFlags {
			if s.Run == nil || slices.Contains(names, name) {
				continue
			}
			if f := s.Flags().Lookup(name); f != nil && !f.Hidden {
				names = append(names, name)
			}
		}
	}
	return names
}

func (hk *HyperKube) commandUsage(c *Command) {
	out := hk.Out()
	columns := system.HelpWidth(out)
	if c.Long != "" {
		fmt.Fprintf(out, "%s\n", text.Wrap(strings.ReplaceAll(c.Long, "PROGRAM", hk.typed()), "", columns))
	} else {
		fmt.Fprintf(out, "%s.\n\n", text.Capital(c.Short))
	}
	fmt.Fprintf(out, "Usage\n\n  %s\n", strings.Join(strings.Fields(hk.typed(c.Name)+" "+c.Args+" [flags]"), " "))
	flags, _ := hk.commandFlags(c)
	fmt.Fprintf(out, "\nFlags\n\n%s", marks{}.usages(flags, columns))
}
