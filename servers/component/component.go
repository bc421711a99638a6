// Package component is what the rooms of Kubernetes' components share: how their flags and commands are handed to the
// supervisor.
package component

import (
	"context"
	"fmt"
	"os"
	"slices"

	// as in upstream's binaries: without it a CronJob's time zone is unknown where the machine has no list of them
	_ "time/tzdata"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"

	// as in upstream's binaries: without it there is no --logging-format=json
	_ "k8s.io/component-base/logs/json/register"

	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// AddFlags gives a server upstream's flags, under upstream's headings.
func AddFlags(s *supervisor.Server, flags cliflag.NamedFlagSets) {
	for _, heading := range flags.Order {
		s.AddFlagGroup(heading, flags.FlagSets[heading])
	}
}

// Replay is the server's own, without the flags that upstream keeps in variables of the process, and those that are
// km's own.
func Replay(s *supervisor.Server, set func(flag, value string) error) error {
	return s.Replay(func(flag, value string) error {
		if flag == HardenedFlag || flag == JoinFlag || slices.Contains(process.Variables, flag) {
			return nil
		}
		return set(flag, value)
	})
}

// ReplayTo sets on flags, which belong to options made for one start, what was set on the server's.
func ReplayTo(flags cliflag.NamedFlagSets, s *supervisor.Server) error {
	return Replay(s, Join(flags).Set)
}

// Join returns all flags as one set.
func Join(flags cliflag.NamedFlagSets) *pflag.FlagSet {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, fs := range flags.FlagSets {
		all.AddFlagSet(fs)
	}
	return all
}

// Main makes the process be upstream's command, with its flags, its help, its signal handlers and its exit codes. It is
// called once in a process: building one of these commands a second time panics.
func Main(name string, command func() *cobra.Command) func(context.Context, *supervisor.Server, []string) error {
	return func(_ context.Context, _ *supervisor.Server, args []string) error {
		process.Become(name, args)
		if code := cli.Run(command()); code != 0 {
			return &supervisor.ExitError{Code: code} // the command has printed why
		}
		return nil
	}
}

// PlainVariable is the variable that has a process which is called as an upstream component be upstream's command and
// nothing else.
const PlainVariable = "KM_PLAIN"

// Plain reports whether the user asks for upstream's command.
func Plain() bool { return os.Getenv(PlainVariable) == "1" }

// FlagTypes are the types of upstream's own flags that take several values, by what each Set of them does.
var FlagTypes = map[string]supervisor.FlagType{
	// k8s.io/component-base/cli/flag
	"mapStringString":                    supervisor.Pairs,
	"mapStringBool":                      supervisor.Pairs,
	"colonSeparatedMultimapStringString": supervisor.Pairs,
	"namedCertKey":                       supervisor.Repeated,
	"pattern=N,...":                      supervisor.Repeated,
	// k8s.io/kubernetes/cmd/kubelet/app/options
	"reserved-memory": supervisor.Repeated,
	"[]v1.Taint":      supervisor.CommaSeparated,
	// go.etcd.io/etcd/pkg/v3/flags
	"UniqueURLs":    supervisor.CommaSeparated,
	"UniqueStrings": supervisor.CommaSeparated,
	"Strings":       supervisor.CommaSeparated,
}

// RefuseEnding refuses flags with which upstream's command does one thing and ends, here the whole process.
func RefuseEnding(s *supervisor.Server, command string, names ...string) error {
	for _, name := range names {
		if s.Given(name) {
			return fmt.Errorf("%[1]s: --%[1]s.%[2]s does one thing and ends: call `%[3]s`", s.Name(), name, s.Command(command, "--"+name))
		}
	}
	return nil
}

// LogFlags are the flags by which upstream's components configure the process's one logger.
var LogFlags = []string{"logging-format", "log-flush-frequency", "log-text-split-stream", "log-text-info-buffer-size", "log-json-split-stream", "log-json-info-buffer-size"}

// RefuseLogFlags refuses flags that have no effect here, since all servers share one log.
func RefuseLogFlags(s *supervisor.Server, names ...string) error {
	for _, name := range names {
		if s.Given(name) {
			return fmt.Errorf("%[1]s: --%[1]s.%[2]s has no effect beside other servers: use --log-format, --%[1]s.log-level and --%[1]s.log-file", s.Name(), name)
		}
	}
	return nil
}
