package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// steerCommands are `start`, `stop` and `restart`.
func steerCommands() []*Command {
	var all []*Command
	for _, c := range []struct{ name, short, long string }{
		{"start", "start servers of a run that have been stopped",
			"Start servers of a run that have been stopped or have failed, and those that they need, and wait until they are ready. What " +
				"is wrong with their flags, or with files that these name, is told before, and they stay as they are."},
		{"stop", "stop servers of a run",
			"Stop servers of a run, and first those that need them, and wait until they have ended. The run goes on; it ends " +
				"with Ctrl-C or SIGTERM, and at once with another one that comes a second later or more."},
		{"restart", "stop servers of a run, and start them again",
			"Stop servers of a run, start them again, and wait until they are ready. Servers that need them keep running. What is " +
				"wrong with their flags, or with files that these name, is told before anything is stopped."},
	} {
		flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		noWait := flags.Bool("no-wait", false, "do not wait until it is done")
		yes := new(bool)
		if c.name == "stop" {
			flags.BoolVarP(yes, "yes", "y", false, "do not ask")
		}
		all = append(all, &Command{Name: c.name, Args: "SERVER...", Short: c.short, Long: c.long, Flags: flags, Complete: completeServers,
			Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
				return hk.steer(ctx, p, life.Verb(c.name), args, *noWait, *yes)
			}})
	}
	return all
}

// steer is `start`, `stop` or `restart` of the servers that args name.
func (hk *HyperKube) steer(ctx context.Context, p *Plan, what life.Verb, args []string, noWait, yes bool) error {
	names, err := hk.serversOf(args)
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s what? Name servers: `%s` shows them", what, p.Command("status"))
		if what == life.Start {
			err = fmt.Errorf("%w; `%s` begins a run", err, p.Command("run"))
		}
	}
	if err != nil {
		return usageError(err)
	}
	c := hk.connect(p)
	if what == life.Stop && !yes {
		if err := confirmStop(ctx, hk, p, c, names); err != nil {
			return err
		}
	}
	began := now()
	all, err := hk.steered(ctx, c, what, names, !noWait)
	if err != nil {
		return err
	}
	for _, s := range all {
		text := fmt.Sprintf("%s is %v", s.Name, s.State)
		switch {
		case noWait: // the state may still be the one from before
			text = fmt.Sprintf("%s is asked to %s", s.Name, what)
		case s.State == Ready && s.Since.Before(began):
			text += " already"
		case s.State == Ready:
			text += fmt.Sprintf(" after %.2fs", s.StartSeconds)
		}
		fmt.Fprintln(hk.Out(), text)
	}
	return nil
}

// serversOf are the names of the servers that args mean: comma- or space-separated names; a composite means its
// members.
func (hk *HyperKube) serversOf(args []string) ([]string, error) {
	words := splitNames(args)
	if len(words) == 0 { // choose would take none for all
		return nil, nil
	}
	if slices.Contains(words, "all") {
		return nil, fmt.Errorf("name the servers one by one; Ctrl-C where `%s` was called, or SIGTERM, ends the whole run", hk.typed("run"))
	}
	chosen, err := hk.choose(words)
	return namesOf(chosen), err
}

// confirmStop asks for confirmation if others need what is to be stopped, if it cannot be started again, or if a server
// warns.
func confirmStop(ctx context.Context, hk *HyperKube, p *Plan, c *admin.Client, names []string) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	stopped := slices.Clone(names)
	var warnings []string
	for more := true; more; {
		more = false
		for _, server := range s.Servers {
			if slices.Contains(stopped, server.Name) || server.State.Ended() {
				continue
			}
			for _, need := range server.Needs {
				if slices.Contains(stopped, need) {
					stopped, more = append(stopped, server.Name), true
					warnings = append(warnings, fmt.Sprintf("%s needs %s, and is stopped first.", server.Name, need))
					break
				}
			}
		}
	}
	for _, server := range s.Servers {
		if server.StartsOnce && slices.Contains(stopped, server.Name) && !server.State.Ended() {
			warnings = append(warnings, fmt.Sprintf("%s can start only once in a process: it comes back when %s is started again.", server.Name, hk.Name))
		}
	}
	for _, name := range stopped {
		if server, err := hk.FindServer(name); err == nil && server.StopWarnings != nil {
			warnings = append(warnings, server.StopWarnings(ctx, p)...)
		}
	}
	if len(warnings) == 0 {
		return nil
	}
	return hk.Confirm(ctx, warnings, "stopped")
}

// logLevelCommand is `log-level`.
func logLevelCommand() *Command {
	return &Command{
		Name:  "log-level",
		Args:  "SERVER LEVEL",
		Short: "change how much a server of a run logs",
		Long: "Change how much a server of a run logs: debug, info, warn, error, or v=N, with effect at once and until the run ends. The " +
			"binary's own name stands for what belongs to no server.",
		Complete: func(hk *HyperKube, args []string) []string {
			switch len(args) {
			case 0:
				return append(completeServers(hk, nil), hk.Name)
			case 1:
				return levelNames
			}
			return nothing
		},
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if len(args) != 2 {
				return usageError(errors.New("log-level takes two arguments, a server and a level"))
			}
			name := args[0]
			if name != hk.Name {
				names, err := hk.serversOf(args[:1])
				if err == nil && len(names) != 1 {
					err = fmt.Errorf("log-level takes one server, but %s means %s", args[0], strings.Join(names, ", "))
				}
				if err != nil {
					return usageError(err)
				}
				name = names[0]
			}
			level, err := logging.ParseLevel(args[1])
			if err != nil {
				return usageError(err)
			}
			now, err := hk.connect(p).SetLogLevel(ctx, name, logging.FormatLevel(level))
			if err != nil {
				return err
			}
			fmt.Fprintf(hk.Out(), "%s logs at %s\n", name, now.Level)
			if now.Warning != "" {
				fmt.Fprintf(hk.errOut(), "Warning: %s\n", now.Warning)
			}
			return nil
		},
	}
}
