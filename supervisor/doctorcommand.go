package supervisor

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// doctorCommand is `doctor`.
func doctorCommand() *Command {
	flags := pflag.NewFlagSet("doctor", pflag.ContinueOnError)
	output := flags.StringP("output", "o", "text", "shape of the answer: text or json")
	return &Command{
		Name:  "doctor",
		Short: "tell what this machine can do, and what to do about the rest",
		Long: "Tell whether `PROGRAM run` would start on this machine, what else it can do here, and what to do about what it cannot. Files and " +
			"the environment count as they do for `run`. Nothing is started or written, and no rights are needed.\n\n" +
			"It exits with 0 if `PROGRAM run` would start, with 1 if not. What it could do besides does not count.",
		Flags:      flags,
		Complete:   completeNothing,
		FlagValues: valuesByFlag(map[string][]string{"output": {"text", "json"}}),
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if err := noArgs("doctor", args); err != nil {
				return err
			}
			if *output != "text" && *output != "json" {
				return usageError(fmt.Errorf("--output: %q is no shape: use text or json", *output))
			}
			d := hk.diagnose(ctx, p)
			var err error
			if *output == "json" {
				err = d.writeJSON(hk.Out())
			} else {
				err = d.writeText(hk.Out(), system.HelpWidth(hk.Out()))
			}
			if err == nil && len(d.hindrances()) > 0 {
				return &ExitError{Code: 1}
			}
			return err
		},
	}
}
