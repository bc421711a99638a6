package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Completion is cobra's: its scripts, which shells know from many programs, call the binary with the word __complete
// and what has been typed, and its engine answers. For that a tree of cobra's commands is made that looks like the
// binary, and never runs.

// isCompletion reports whether the word is one with which completion scripts call the binary.
func isCompletion(word string) bool {
	return word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd
}

// complete answers a completion script. Of args, which are what has been typed, the last one is not complete.
func (hk *HyperKube) complete(request string, args []string) error {
	if len(args) == 0 {
		args = []string{""} // somebody called it by hand
	}
	root := hk.cobraRoot()
	last := len(args) - 1
	word, rest := hk.firstWord(args[:last])
	if s, err := hk.FindServer(word); err == nil && s.Complete != nil {
		return s.Complete(context.Background(), s, append([]string{request}, args[last-len(rest):]...))
	}
	hk.fill(root, word, rest, args[last])

	// Packages add flags to that set. No command here has them, but cobra would offer them with each.
	defer func(theirs *pflag.FlagSet) { pflag.CommandLine = theirs }(pflag.CommandLine)
	pflag.CommandLine = newFlagSet(hk.Name)

	var answer bytes.Buffer
	root.SetOut(&answer)
	root.SetErr(io.Discard) // what the directive is called; scripts throw it away
	root.SetArgs(append([]string{request}, args...))
	if err := root.Execute(); err != nil {
		return hk.report(err)
	}
	_, err := io.WriteString(hk.Out(), unfinished(answer.String()))
	return err
}

// unfinished has shells add no space behind the beginning of flags' names, such as "--apiserver.".
func unfinished(answer string) string {
	beginning := false
	for line := range strings.Lines(answer) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		beginning = beginning || strings.HasPrefix(word, "--") && strings.HasSuffix(word, ".")
	}
	rest, found := strings.CutSuffix(answer, fmt.Sprintf(":%d\n", cobra.ShellCompDirectiveNoFileComp))
	if !beginning || !found {
		return answer
	}
	return rest + fmt.Sprintf(":%d\n", cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
}

// firstWord is the command or server among the arguments, and what follows it.
func (hk *HyperKube) firstWord(args []string) (word string, rest []string) {
	flags := newFlagSet(hk.Name)
	flags.SetInterspersed(false)
	flags.AddFlagSet(hk.Flags())
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return "", nil
	}
	return flags.Arg(0), flags.Args()[1:]
}

// cobraRoot is the binary with its commands and servers, without their flags.
func (hk *HyperKube) cobraRoot() *cobra.Command {
	root := &cobra.Command{Use: hk.Name, TraverseChildren: true, SilenceErrors: true, SilenceUsage: true}
	root.CompletionOptions.DisableDefaultCmd = true // there is one already
	hk.addCobraFlags(root, hk.Flags(), nil)
	// Cobra takes a command without a function for one that cannot be called.
	never := func(*cobra.Command, []string) {}
	for _, c := range hk.allCommands() {
		command := &cobra.Command{Use: c.Name, Short: brief(c.Short), Run: never}
		root.AddCommand(command)
		if c.Name == "help" {
			root.SetHelpCommand(command) // otherwise cobra adds its own
		}
	}
	for _, s := range hk.servers {
		root.AddCommand(&cobra.Command{Use: s.Name(), Aliases: s.Aliases, Short: brief(s.Long), Run: never})
	}
	root.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 || slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return strings.HasPrefix(c.Name(), typed) }) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return oneOf(aliases(hk.servers), nil, typed)
	}
	return root
}

// aliases are those of the servers, as values. Where a name would do, they would only repeat it.
func aliases(servers []*Server) (values []string) {
	for _, s := range servers {
		for _, alias := range s.Aliases {
			values = append(values, alias+"\t"+cmp.Or(brief(s.Long), s.Name()))
		}
	}
	return values
}

// fill gives the command or server of that name its flags and arguments. The others do without: some have hundreds.
func (hk *HyperKube) fill(root *cobra.Command, word string, rest []string, typed string) {
	at := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == word || c.HasAlias(word) })
	if at < 0 {
		return
	}
	target := root.Commands()[at]
	if c := hk.command(word); c != nil {
		switch {
		case c.Name != "run":
			hk.fillCommand(target, c)
		case slices.Contains(rest, "--"): // behind which is a command that only the shell knows
		default:
			hk.fillRun(target, nil, typed)
		}
		return
	}
	s, err := hk.FindServer(word)
	switch {
	case err != nil:
	case s.Run != nil:
		hk.addCobraFlags(target, s.Flags(), func(flag string) []string { return valuesOf(s, flag) })
		target.ValidArgsFunction = cobra.NoFileCompletions
	case len(s.Members) > 0:
		hk.fillRun(target, s, typed)
	}
}

// fillCommand gives a command its flags and arguments.
func (hk *HyperKube) fillCommand(target *cobra.Command, c *Command) {
	flags, _ := hk.commandFlags(c)
	hk.addCobraFlags(target, flags, c.FlagValues)
	target.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		words := nothing
		if c.Complete != nil {
			words = c.Complete(hk, args)
		} else if c.Args != "" {
			words = nil
		}
		switch {
		case words == nil:
			return nil, cobra.ShellCompDirectiveDefault
		case strings.Contains(c.Args, "SERVER...") && strings.Contains(typed, ","):
			return hk.listOfServers(words, args, typed)
		}
		return oneOf(words, args, typed)
	}
}

// fillRun gives `run` its flags, and lists of servers; or, if composite is not nil, that server its flags, which are
// the same and its members'.
func (hk *HyperKube) fillRun(target *cobra.Command, composite *Server, typed string) {
	r := hk.flagsToShow()
	servers := hk.servers
	if composite != nil {
		members, err := hk.choose([]string{composite.Name()})
		if err != nil {
			return // calling it tells what is wrong
		}
		servers = members
		r.addMembers(members)
	}
	hk.addCobraFlags(target, r.FlagSet, r.valuesOf)
	r.shorten(target.Flags(), servers, strings.Contains(typed, "."))
	if composite != nil {
		target.ValidArgsFunction = cobra.NoFileCompletions
		return
	}
	known := completeServers(hk, nil)
	all := "all\t" + brief(strings.Join(hk.defaultNames(), ", "))
	target.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		words := known
		if len(args) == 0 && !strings.Contains(typed, ",") {
			words = append(slices.Clone(known), all)
		}
		return hk.listOfServers(words, args, typed)
	}
}

// listOfServers completes the last of a list of servers. None is offered twice, by name or alias. An alias is offered
// only if no name begins with what is typed.
func (hk *HyperKube) listOfServers(words, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	done := typed[:strings.LastIndex(typed, ",")+1]
	var taken []string
	for _, name := range splitNames(append(slices.Clone(args), done)) {
		taken = append(taken, name)
		if s, err := hk.FindServer(name); err == nil {
			taken = append(taken, s.names()...)
		}
	}
	found, directive := listOf(words, taken, typed, false)
	if len(found) == 0 && len(typed) > len(done) {
		var servers []*Server
		for _, name := range hk.runnable() {
			if s, err := hk.FindServer(name); err == nil {
				servers = append(servers, s)
			}
		}
		found, directive = listOf(aliases(servers), taken, typed, false)
	}
	return found, directive
}
