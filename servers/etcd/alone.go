package etcd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/flags"
)

// A member that is alone elects itself when its timeout is over, up to twice as long as this one; upstream's is a
// second. There is nobody whose heartbeats could be late. The timeout must be five heartbeats. At each heartbeat the
// process wakes: that of a test, which waits for a start more often than it rests, does so more often.
const (
	aloneHeartbeat, aloneElection     = "20", "100"
	hurriedHeartbeat, hurriedElection = "10", "50"
)

// betweenMembers are the flags by which a member has others, or the user decides about the times between members.
// listen-peer-urls is not among them: it has a default, and whoever has no use for it gives a free port.
var betweenMembers = []string{"initial-cluster", "initial-cluster-state", "discovery", "discovery-srv", "discovery-endpoints", "config-file",
	"heartbeat-interval", "election-timeout"}

// hurried are the arguments of upstream's command for a new member that is alone, and elects itself as soon as it does
// in `km run`; and others as they are. Data that is there already may be that of a member which is not alone.
func hurried(args []string) []string {
	set := false
	dir := os.Getenv(flags.FlagToEnv("ETCD", "data-dir"))
	for i, arg := range args {
		name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") {
			set = set || i == 0 // a command
			continue
		}
		set = set || slices.Contains(betweenMembers, name)
		if name != "data-dir" {
			continue
		}
		if dir = value; !ok && i+1 < len(args) {
			dir = args[i+1]
		}
	}
	for _, name := range betweenMembers {
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
