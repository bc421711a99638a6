package component

import (
	"slices"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// HardenedFlag asks for what a cluster needs that others may reach, and that one on a developer's machine does without.
// Each server that has it gives its own flags other defaults then.
const HardenedFlag = "hardened"

// ProcessFlags are the flags of which one value is for all servers of a run, for supervisor.Server.ProcessFlags.
var ProcessFlags = append(slices.Clone(process.Flags), HardenedFlag, JoinFlag)

// AddHardened gives a server the flag, which its Defaults are to look at with Hardened.
func AddHardened(s *supervisor.Server) {
	fs := pflag.NewFlagSet(HardenedFlag, pflag.ContinueOnError)
	fs.Bool(HardenedFlag, false, "encrypt Secrets, audit, as the CIS benchmark asks")
	fs.Lookup(HardenedFlag).Annotations = map[string][]string{supervisor.AnnotationProminent: {"true"}}
	s.AddFlagGroup("km", fs)
}

// Hardened reports whether the run is to be hardened.
func Hardened(s *supervisor.Server) bool { return s.Value(HardenedFlag) == "true" }

// HardenServing gives the flags of a server that serves as Kubernetes' components do the defaults of a hardened run, if
// it is one.
func HardenServing(s *supervisor.Server) error {
	if !Hardened(s) {
		return nil
	}
	return s.Default(
		"profiling", "false",
		"contention-profiling", "false", // it is of no use without
		"tls-min-version", "VersionTLS12",
	)
}
