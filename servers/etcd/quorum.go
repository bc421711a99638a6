package etcd

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// MembersOf asks the etcd of a run that is to be reached by other machines, as its plan says, for all members.
func MembersOf(ctx context.Context, p *supervisor.Plan) ([]members.Member, error) {
	tls, err := cluster.EtcdTLS(p)
	if err != nil {
		return nil, err
	}
	m, err := members.At([]string{component.Endpoints(component.SocketURL(p.SocketPath(names.Etcd + ".sock")))}, tls, zap.NewNop())
	if err != nil {
		return nil, err
	}
	return m.List(ctx)
}

// warnTime is how long members may take to say how they are, before etcd is stopped without a word about them.
const warnTime = 6 * time.Second

// stopWarnings say that nothing could be written in the cluster any more if etcd stopped on this machine.
func stopWarnings(ctx context.Context, p *supervisor.Plan) []string {
	name, err := cluster.MachineName(p)
	if err != nil {
		return nil
	}
	process.DropClientLogs()
	ctx, cancel := context.WithTimeout(ctx, warnTime)
	defer cancel()
	all, err := MembersOf(ctx, p)
	if err != nil {
		return nil // it has no others, or does not answer: nothing changes for them
	}
	q := members.QuorumOf(all)
	for _, m := range all {
		if m.Name == name && q.Voters > 1 && q.There() && !q.Stopped(m).There() {
			return []string{fmt.Sprintf("etcd has no quorum any more if it stops here (%s): nothing can be written in the whole cluster then.", q.Stopped(m))}
		}
	}
	return nil
}
