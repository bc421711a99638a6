package etcd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/flags"

	"github.com/seed-200a7251/km/supervisor"
)

// A member that is alone elects itself when its timeout is over, up to twice as long as this one; upstream's is a
// second. There is nobody whose heartbeats could be late. The timeout must be five heartbeats. At each heartbeat the
// process wakes: that of a test, which waits for a start more often than it rests, does so more often.
const (
	aloneHeartbeat, aloneElection     = "20", "100"
	hurriedHeartbeat, hurriedElection = "10", "50"
)

// times are the flags by which the user decides about the times between members.
var times = []string{"heartbeat-interval", "election-timeout"}

// alone reports whether there is no other member, nor will be, and the user leaves the times between members to km.
func alone(s *supervisor.Server) bool { return !peered(s) && !slices.ContainsFunc(times, s.Given) }

// hurried are the arguments of upstream's command for a new member that is alone, and elects itself as soon as it does
// in `km run`; and others as they are. Data that is there already may be that of a member which is not alone. (A caller
// that has no use for listen-peer-urls gives a free port, as the flag has a default.)
func hurried(args []string) []string {
	decisive := slices.Concat([]string{"initial-cluster-state"}, betweenMembers, times)
	set := false
	dir := os.Getenv(flags.FlagToEnv("ETCD", "data-dir"))
	for i, arg := range args {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") {
			set = set || i == 0 // a command
			continue
		}
		set = set || slices.Contains(decisive, name)
		if name != "data-dir" {
			continue
		}
		if dir = value; !ok && i+1 < len(args) {
			dir = args[i+1]
		}
	}
	for _, name := range decisive {
		set = set || os.Getenv(flags.FlagToEnv("ETCD", name)) != ""
	}
	if set || dir == "" {
		return args
	}
	if _, err := os.Lstat(filepath.Join(dir, "member")); err == nil {
		return args
	}
	return append([]string{"--heartbeat-interval=" + hurriedHeartbeat, "--election-timeout=" + hurriedElection}, args...)
}
