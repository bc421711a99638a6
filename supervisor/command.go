package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Command is something that the binary can do beside being a server, such as `version`.
type Command struct {
	// Name is what is typed.
	Name string
	// Args are shown after the name in the usage.
	Args string
	// Short is one line for the list of commands.
	Short string
	// Long, if any, stands above the flags in the command's help. It is wrapped to the terminal's width; a blank line
	// starts a paragraph. PROGRAM in it stands for the binary's name.
	Long string
	// Flags, if any, are added to the binary's own flags.
	Flags *pflag.FlagSet
	// Complete, if not nil, returns what the next argument may be, for completion in a shell: words, each with a
	// description behind a tab or without. args are those before it. Where it returns nil, and without it, files are
	// completed.
	Complete func(hk *HyperKube, args []string) []string
	// FlagValues, if not nil, does the same for the value of a flag.
	FlagValues func(flag string) []string
	// Run does it. The folder and the name of the cluster are in p, in which no server is selected.
	Run func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error
}

// command returns the command of that name, or nil.
func (hk *HyperKube) command(name string) *Command {
	for _, c := range hk.allCommands() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// words is everything that may follow the binary's name.
func (hk *HyperKube) words() []string {
	var words []string
	for _, c := range hk.allCommands() {
		words = append(words, c.Name)
	}
	for _, s := range hk.servers {
		words = append(words, s.names()...)
	}
	return words
}

// allCommands are the built-in commands and those that were added.
func (hk *HyperKube) allCommands() []*Command {
	return slices.Concat([]*Command{
		{Name: "run", Args: "[SERVER,SERVER...] [flags] [-- COMMAND...]", Short: "run servers in this process; none named = the default ones"},
		{Name: "version", Short: "print the version", Complete: completeNothing, Run: func(_ context.Context, hk *HyperKube, _ *Plan, args []string) error {
			if err := noArgs("version", args); err != nil {
				return err
			}
			hk.printVersion()
			return nil
		}},
		helpCommand(hk.Name),
		logsCommand(),
		statusCommand(),
	}, steerCommands(), []*Command{logLevelCommand(), topCommand(), profileCommand(), analyzeCommand(), configCommand(), doctorCommand(), resetCommand(), completionCommand()}, hk.commands)
}

// runCommand parses a command's flags and runs it.
func (hk *HyperKube) runCommand(c *Command, args []string) error {
	if c.Name == "run" {
		return hk.runServers(nil, args)
	}
	flags, help := hk.commandFlags(c)
	if c.Name == "help" {
		args = flagWords(flags, args)
	}
	if err := flags.Parse(args); err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
			err = suggestFlag(err, unknown.GetSpecifiedName(), flags)
		}
		return hk.wrongUsage(err, func() { hk.commandUsage(c) })
	}
	if *help {
		hk.commandUsage(c)
		return nil
	}
	p, err := hk.emptyPlan()
	if err != nil && c.Name != "help" && c.Name != "doctor" { // they are there without a place for the state, too
		return hk.wrongUsage(hk.locateVariables(err, flags), nil)
	}
	ctx, stop := untilSignal()
	defer stop()
	if err := c.Run(ctx, hk, p, flags.Args()); err != nil {
		return hk.report(err)
	}
	return nil
}

func (hk *HyperKube) commandFlags(c *Command) (flags *pflag.FlagSet, help *bool) {
	flags = newFlagSet(c.Name)
	help = flags.BoolP("help", "h", false, "help for "+c.Name)
	if c.Flags != nil {
		flags.AddFlagSet(c.Flags)
	}
	hk.settings.addLocation(flags, hk.Name)
	return flags, help
}

// versionLine is the first line of what Version says, or "".
func (hk *HyperKube) versionLine() string {
	if hk.Version == nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(hk.Version()), "\n")
	return line
}

func (hk *HyperKube) printVersion() {
	version := "unknown"
	if hk.Version != nil {
		version = hk.Version()
	}
	fmt.Fprintf(hk.Out(), "%s %s\n", hk.Name, strings.TrimSpace(version))
}
