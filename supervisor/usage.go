package supervisor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// flagGroup is a heading in a server's help, and the flags below it.
type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// Usage prints what the binary is and which servers and commands it has.
func (hk *HyperKube) Usage() {
	out := hk.Out()
	columns := width(out)
	if hk.Long != "" {
		fmt.Fprintf(out, "%s\n", wrap(hk.Long, "", columns))
	}
	fmt.Fprintf(out, "Usage\n\n")
	fmt.Fprintf(out, "  %s run [SERVER,SERVER...] [flags]\n", hk.Name)
	fmt.Fprintf(out, "  %s SERVER [flags]\n", hk.Name)
	fmt.Fprintf(out, "  %s COMMAND [flags]\n", hk.Name)
	fmt.Fprintf(out, "\nServers\n")
	for _, s := range hk.servers {
		name := s.Name()
		if len(s.Aliases) > 0 {
			name += " (" + strings.Join(s.Aliases, ", ") + ")"
		}
		fmt.Fprintf(out, "\n  %s\n%s", name, wrap(s.Long, "    ", columns))
	}
	fmt.Fprintf(out, "\nCommands\n\n")
	names := 0
	for _, c := range hk.allCommands() {
		names = max(names, len(c.Name))
	}
	for _, c := range hk.allCommands() {
		fmt.Fprintf(out, "  %-*s  %s\n", names, c.Name, c.Short)
	}
	fmt.Fprintf(out, "\nFlags\n\n%s\n", hk.Flags().FlagUsagesWrapped(columns))
	fmt.Fprintf(out, "Call '%[1]s help SERVER' for a server's flags, '%[1]s run --help' for running several.\n", hk.Name)
}

// Usage prints what the server is and which flags it has, to the HyperKube's Out, or to standard output if the server was
// added to none.
func (s *Server) Usage() {
	hk := s.hk
	if hk == nil {
		hk = &HyperKube{}
	}
	hk.serverUsage(s, s.Flags())
}

func (hk *HyperKube) serverUsage(s *Server, flags *pflag.FlagSet) {
	if len(s.Members) > 0 && s.Run == nil {
		hk.compositeUsage(s)
		return
	}
	out, program := hk.Out(), hk.Name
	columns := width(out)
	if s.Long != "" {
		fmt.Fprintf(out, "%s\n", wrap(s.Long, "", columns))
	}
	fmt.Fprintf(out, "Usage\n\n  %s [flags]\n", s.SimpleUsage)
	if program != "" && s.Run != nil {
		fmt.Fprintf(out, "  %s run %s [--%s.FLAG...]\n", program, s.Name(), s.Name())
	}
	// Flags in no group come first.
	rest := newFlagSet(s.Name())
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.ContainsFunc(s.groups, func(g flagGroup) bool { return g.flags.Lookup(f.Name) != nil }) {
			rest.AddFlag(f)
		}
	})
	if rest.HasAvailableFlags() {
		fmt.Fprintf(out, "\nFlags\n\n%s", rest.FlagUsagesWrapped(columns))
	}
	for _, g := range s.groups {
		if g.flags.HasAvailableFlags() {
			fmt.Fprintf(out, "\n%s flags\n\n%s", capital(g.heading), g.flags.FlagUsagesWrapped(columns))
		}
	}
	if program != "" && s.Run != nil {
		name := s.Name()
		fmt.Fprintf(out, "\nWith `%[1]s run` each flag stands under the server's name, and these are added\n\n"+
			"      --%[2]s.log-level string\n      --%[2]s.log-file string\n      --%[2]s.restart policy\n"+
			"      --%[2]s.grace-period duration\n      --%[2]s.isolation kind\n", program, name)
	}
}

// compositeUsage prints what a server with members is, and whose flags it takes.
func (hk *HyperKube) compositeUsage(s *Server) {
	out := hk.Out()
	if s.Long != "" {
		fmt.Fprintf(out, "%s\n", wrap(s.Long, "", width(out)))
	}
	fmt.Fprintf(out, "Usage\n\n  %[1]s [flags]\n  %[2]s run %[1]s [--SERVER.FLAG...]\n", s.SimpleUsage, hk.Name)
	members := strings.Join(s.Members, ", ")
	fmt.Fprintf(out, "\nServers\n\n%s", wrap(members, "  ", width(out)))
	fmt.Fprintf(out, "\nFlags\n\n%s", wrap(fmt.Sprintf("Those of `%[1]s run`, --SERVER.FLAG included. Called as %[2]s, it takes the flags of "+
		"%[3]s without SERVER, too: each of them that has such a flag gets it. See `%[1]s run --help` and `%[1]s help SERVER`.",
		hk.Name, s.Name(), members), "  ", width(out)))
}

// runUsage prints the help of `run`: its own flags, and where to find those of the servers. It fits on one screen.
func (hk *HyperKube) runUsage() {
	out := hk.Out()
	columns := width(out)
	fmt.Fprint(out, wrap(fmt.Sprintf("Run the selected servers in this process, each when those that it needs are ready, until a signal "+
		"stops them in reverse order. None named means %s. What the selected ones need joins by itself.",
		strings.Join(hk.defaultNames(), ",")), "", columns))
	fmt.Fprintf(out, "\nUsage\n\n  %s run [SERVER,SERVER...] [flags]\n", hk.Name)
	fmt.Fprintf(out, "\nServers\n\n%s", wrap(strings.Join(hk.runnable(), ", "), "  ", columns))
	own := newFlagSet("")
	(&settings{}).addLocation(own, hk.Name)
	(&settings{}).addRun(own)
	fmt.Fprintf(out, "\nFlags\n\n%s", own.FlagUsagesWrapped(columns))
	fmt.Fprintf(out, "\nFlags of a server\n\n")
	fmt.Fprintf(out, "      --SERVER.FLAG                     each flag of a server, under its name\n")
	fmt.Fprintf(out, "      --SERVER.log-level string         like --log-level, for this server\n")
	fmt.Fprintf(out, "      --SERVER.log-file string          file for its log; none for no file\n")
	fmt.Fprintf(out, "      --SERVER.restart policy           started again: on-failure, always, never\n")
	fmt.Fprintf(out, "      --SERVER.grace-period duration    time that it may take to stop\n")
	fmt.Fprintf(out, "      --SERVER.isolation kind           none, or process: one of its own\n")
	if process := hk.processFlagNames(); len(process) > 0 {
		fmt.Fprintf(out, "\nFlags of the whole process\n\n%s", wrap("--"+strings.Join(process, ", --"), "      ", columns))
	}
	fmt.Fprintf(out, "\nCall '%s help SERVER' for a server's flags.\n", hk.Name)
}

// processFlagNames are the names of the flags that exist once for the process.
func (hk *HyperKube) processFlagNames() []string {
	var names []string
	for _, s := range hk.servers {
		for _, name := range s.ProcessFlags {
			if s.Run != nil && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (hk *HyperKube) commandUsage(c *Command) {
	out := hk.Out()
	columns := width(out)
	if c.Long != "" {
		fmt.Fprintf(out, "%s\n", wrap(c.Long, "", columns))
	} else {
		fmt.Fprintf(out, "%s.\n\n", capital(c.Short))
	}
	fmt.Fprintf(out, "Usage\n\n  %s\n", strings.Join(strings.Fields(hk.Name+" "+c.Name+" "+c.Args+" [flags]"), " "))
	flags, _ := hk.commandFlags(c)
	fmt.Fprintf(out, "\nFlags\n\n%s", flags.FlagUsagesWrapped(columns))
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// wrap breaks text into lines of at most the given number of columns, each behind the indentation. A blank line in the
// text starts a paragraph. The result ends with a newline, unless the text is blank.
func wrap(text, indent string, columns int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		words := strings.Fields(paragraph)
		if len(words) == 0 {
			continue
		}
		if i > 0 {
			b.WriteString("\n")
		}
		used := 0
		for _, word := range words {
			n := len([]rune(word))
			switch {
			case used == 0:
				b.WriteString(indent)
				used = len(indent)
			case used+1+n > columns:
				b.WriteString("\n" + indent)
				used = len(indent)
			default:
				b.WriteString(" ")
				used++
			}
			b.WriteString(word)
			used += n
		}
		b.WriteString("\n")
	}
	return b.String()
}
