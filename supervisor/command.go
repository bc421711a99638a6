package supervisor

import (
	"context"
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
	// Long, if any, stands above the flags in the command's help.
	Long string
	// Flags, if any, are added to the binary's own flags.
	Flags *pflag.FlagSet
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
		{Name: "run", Args: "[SERVER,SERVER...] [flags]", Short: "run the selected servers in this process; none named = the default ones"},
		{Name: "version", Short: "print the version", Run: func(_ context.Context, hk *HyperKube, _ *Plan, _ []string) error {
			hk.printVersion()
			return nil
		}},
		{Name: "help", Args: "[SERVER|COMMAND]", Short: "help for " + hk.Name + ", a server or a command", Run: (*Command)(nil).help},
		logsCommand(),
		statusCommand(),
	}, steerCommands(), []*Command{logLevelCommand(), topCommand(), profileCommand(), analyzeCommand()}, hk.commands)
}

// runCommand parses a command's flags and runs it.
func (hk *HyperKube) runCommand(c *Command, args []string) error {
	if c.Name == "run" {
		return hk.runServers(nil, args)
	}
	flags, help := hk.commandFlags(c)
	if err := flags.Parse(args); err != nil {
		return hk.wrongUsage(err, func() { hk.commandUsage(c) })
	}
	if *help {
		hk.commandUsage(c)
		return nil
	}
	p, err := hk.settings.plan()
	if err != nil {
		return hk.wrongUsage(err, nil)
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

func (hk *HyperKube) printVersion() {
	version := "unknown"
	if hk.Version != nil {
		version = hk.Version()
	}
	fmt.Fprintf(hk.Out(), "%s %s\n", hk.Name, strings.TrimSpace(version))
}

// help is `help [SERVER|COMMAND]`.
func (*Command) help(ctx context.Context, hk *HyperKube, _ *Plan, args []string) error {
	if len(args) == 0 {
		hk.Usage()
		return nil
	}
	if c := hk.command(args[0]); c != nil {
		if c.Name == "run" {
			hk.runUsage()
		} else {
			hk.commandUsage(c)
		}
		return nil
	}
	s, err := hk.FindServer(args[0])
	if err != nil {
		return usageError(suggest(err, args[0], hk.words()))
	}
	if s.Run == nil && s.Main != nil {
		return s.Main(ctx, s, []string{"--help"})
	}
	hk.serverUsage(s, s.Flags())
	return nil
}
