package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
)

// profileCommand is `profile`.
func profileCommand() *Command {
	flags := pflag.NewFlagSet("profile", pflag.ContinueOnError)
	seconds := flags.Int("seconds", int(admin.DefaultProfile.Seconds()), "how long to look, in seconds")
	file := flags.StringP("output", "o", "", "file for the profile, - for standard output (default: one with the time in its name, in the current folder)")
	return &Command{
		Name:  "profile",
		Args:  "[SERVER]",
		Short: "take a CPU profile of a run, or of one of its servers",
		Long: "Take a CPU profile of a run, or of what one of its servers does in it: a file for `go tool pprof`. Other profiles (heap, " +
			"goroutine, trace …) are at /debug/pprof/ of the socket in the data folder.",
		Flags: flags,
		Complete: func(hk *HyperKube, args []string) []string {
			if len(args) > 0 {
				return nothing
			}
			return completeServers(hk, nil)
		},
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if *seconds < 1 || *seconds > int(admin.LongestProfile.Seconds()) {
				return usageError(fmt.Errorf("--seconds=%d: use a number above 0, and no more than %.0f", *seconds, admin.LongestProfile.Seconds()))
			}
			server, what := "", hk.Name
			switch names, err := hk.serversOf(args); {
			case err != nil:
				return usageError(err)
			case len(names) > 1:
				return usageError(errors.New("profile takes one server, or none for the whole process"))
			case len(names) == 1:
				server = names[0]
				what += "-" + server
			}
			if *file == "" {
				*file = fmt.Sprintf("%s-%s.pb.gz", what, now().Format("20060102-150405"))
			}
			return hk.profile(ctx, p, server, *seconds, *file)
		},
	}
}

func (hk *HyperKube) profile(ctx context.Context, p *Plan, server string, seconds int, file string) (err error) {
	c := hk.connect(p)
	if _, err := c.Status(ctx); err != nil {
		return err // before there is a file
	}
	out := hk.Out()
	if file != "-" {
		// Before the half minute that a profile takes: making the file may fail.
		f, createErr := createProfile(file)
		if createErr != nil {
			return createErr
		}
		out = f
		defer func() {
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				err = errors.Join(err, os.Remove(file)) // half of it is of no use
			}
		}()
		fmt.Fprintf(hk.errOut(), "profiling for %d seconds …\n", seconds)
	}
	text, err := c.Profile(ctx, server, seconds)
	if err != nil {
		return err
	}
	if _, err = out.Write(text); err != nil {
		return fmt.Errorf("the profile cannot be written: %w; name another file with --output", err)
	}
	if file != "-" {
		fmt.Fprintf(hk.Out(), "%s\n", file)
		fmt.Fprintf(hk.errOut(), "Look at it with `%s`.\n", shellWords([]string{"go", "tool", "pprof", "-http=:", file}))
	}
	return nil
}

func createProfile(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s is there already; remove it, or name another file with --output", file)
	case err != nil:
		return nil, fmt.Errorf("the profile cannot be written: %w; name another file with --output", err)
	}
	return f, nil
}
