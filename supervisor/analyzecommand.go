package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/timeline"
)

// analyzeCommand is `analyze`.
func analyzeCommand() *Command {
	flags := pflag.NewFlagSet("analyze", pflag.ContinueOnError)
	picture := flags.String("svg", "", "draw it into this file, too, - for standard output instead of the text")
	return &Command{
		Name:  "analyze",
		Short: "show where the time of a run's start went",
		Long: "Show where the time of a run's start went, as systemd-analyze does: when each server's start began, how long it took, and " +
			"the chain of servers that waited for each other.",
		Flags: flags,
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if err := noArgs("analyze", args); err != nil {
				return err
			}
			s, err := hk.connect(p).Status(ctx)
			if err != nil {
				return err
			}
			start := startOf(s)
			switch {
			case *picture == "-":
				return timeline.WriteSVG(hk.Out(), start)
			case *picture != "":
				if err := drawInto(*picture, start); err != nil {
					return fmt.Errorf("--svg: %w", err)
				}
			}
			return timeline.WriteText(hk.Out(), start)
		},
	}
}

// startOf is what the status of a run says of its start.
func startOf(s *Status) *timeline.Run {
	run := &timeline.Run{Program: s.Program, Version: s.Version, Name: s.Name, Began: s.Began, Now: now()}
	for _, server := range s.Servers {
		run.Servers = append(run.Servers, timeline.Server{
			Name:         server.Name,
			State:        server.State,
			Since:        server.Since,
			Needs:        server.Needs,
			FirstStarted: server.FirstStarted,
			FirstReady:   server.FirstReady,
		})
	}
	return run
}

func drawInto(file string, start *timeline.Run) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(timeline.WriteSVG(f, start), f.Close())
}
