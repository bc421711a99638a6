package component

import (
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor"
)

// JoinFlag names an apiserver of the cluster that this machine joins. The servers of a node have it: it says that the
// apiserver is elsewhere.
const JoinFlag = "join"

// AddJoin gives a server the flag.
func AddJoin(s *supervisor.Server) {
	fs := pflag.NewFlagSet(JoinFlag, pflag.ContinueOnError)
	fs.String(JoinFlag, "", "join the cluster of the apiserver at `HOST:PORT`")
	s.AddFlagGroup("km", fs)
}
