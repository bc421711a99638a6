package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
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
			s, err := hk.connect(p).status(ctx)
			switch {
			case err != nil:
				return err
			case *picture == "-":
				return writeSVG(hk.Out(), s)
			case *picture != "":
				if err := drawInto(*picture, s); err != nil {
					return fmt.Errorf("--svg: %w", err)
				}
			}
			return writeTimeline(hk.Out(), s)
		},
	}
}

func drawInto(file string, s *Status) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(writeSVG(f, s), f.Close())
}
