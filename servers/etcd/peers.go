package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/supervisor"
)

// betweenMembers are the flags by which the user gives a member others.
var betweenMembers = []string{"config-file", "initial-cluster", "discovery-srv", "discovery-endpoints"}

// peered reports whether there are other members, or may be: km advertises this one, which gives it an address for
// them, or the user says so.
func peered(s *supervisor.Server) bool {
	return s.Flags().Changed("listen-peer-urls") || slices.ContainsFunc(betweenMembers, s.Given)
}

// takePart waits until this member has a quorum, and is a voting member. Then it can be used: a learner answers next to
// nothing.
func (e *etcd) takePart(ctx context.Context, s *supervisor.Server, embedded *embed.Etcd) error {
	if !peered(s) {
		select {
		case <-embedded.Server.ReadyNotify():
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	m, err := e.membersOf(s, embedded)
	if err != nil {
		return err
	}
	telling, told := context.WithCancel(ctx)
	defer told()
	go tellQuorum(telling, s, m)
	select {
	case <-embedded.Server.ReadyNotify():
	case <-ctx.Done():
		return ctx.Err()
	}
	if !cluster.IsAdvertised(e.plan) { // its members are the user's business
		return nil
	}
	if err := m.Promote(ctx, uint64(embedded.Server.MemberID())); err != nil {
		return err
	}
	return moved(ctx, s, embedded, m)
}

// membersOf is the way to the members by an etcd of this process.
func (e *etcd) membersOf(s *supervisor.Server, embedded *embed.Etcd) (*members.Members, error) {
	if !cluster.IsAdvertised(e.plan) {
		return members.Of(embedded, nil, s.Logger()), nil
	}
	tls, err := cluster.EtcdTLS(e.plan)
	if err != nil {
		return nil, err
	}
	return members.Of(embedded, tls, s.Logger()), nil
}

// quorumPause is how long it is from one look at the quorum to the next.
const quorumPause = 2 * time.Second

// tellQuorum tells people that there is no quorum, as long as that is so, until ctx ends.
func tellQuorum(ctx context.Context, s *supervisor.Server, m *members.Members) {
	for {
		select {
		case <-time.After(quorumPause):
		case <-ctx.Done():
			return
		}
		all, err := m.List(ctx)
		if err == nil && ctx.Err() == nil {
			s.Hindered(lacksQuorum(all))
		}
	}
}

// lacksQuorum is what people are told where too few members answer.
func lacksQuorum(all []members.Member) error {
	q := members.QuorumOf(all)
	if q.Answering >= q.Needed {
		return nil // they are about to elect a leader
	}
	return fmt.Errorf("etcd has no quorum: %s; start km on the other machines", q)
}

// moved gives a member that has no others yet the address at which these will reach it, if it had another one before.
func moved(ctx context.Context, s *supervisor.Server, embedded *embed.Etcd, m *members.Members) error {
	url, all := s.Value("initial-advertise-peer-urls"), embedded.Server.Cluster().Members()
	if len(all) != 1 || slices.Equal(all[0].PeerURLs, []string{url}) {
		return nil
	}
	s.Logger().Info("the address of this member of etcd changes", zap.Strings("from", all[0].PeerURLs), zap.String("to", url))
	return m.Update(ctx, uint64(all[0].ID), url)
}

// errRemoved is what ends a member that the others have removed.
var errRemoved = errors.New("this machine is no member of the cluster any more")

// removedHook notes that the others have told this member that it was removed: etcd logs that and stops. It need not
// have the change in its own data.
type removedHook chan struct{}

func (h removedHook) option() zap.Option {
	return zap.Hooks(func(e zapcore.Entry) error {
		if e.Message == "data-dir used by this member must be removed" { // etcdserver, EtcdServer.run
			select {
			case h <- struct{}{}:
			default:
			}
		}
		return nil
	})
}

// ended is why an etcd has stopped by itself.
func (l *life) ended(embedded *embed.Etcd) error {
	if lost := l.server.Lost(); lost != nil {
		return lost
	}
	if l.isRemoved(embedded) {
		return errRemoved
	}
	return errors.New("etcd has stopped by itself")
}

// isRemoved reports whether the member has been removed: it has the change in its data, or has heard of it.
func (l *life) isRemoved(embedded *embed.Etcd) bool {
	return len(l.removed) > 0 || embedded.Server.IsIDRemoved(uint64(embedded.Server.MemberID()))
}

// lostPause is how often a member with others looks whether what it keeps is still there.
const lostPause = 100 * time.Millisecond

// watchLost ends an etcd with others whose data is gone, at once: the leader counts what it acknowledges to be on a
// disk, which no interceptor of clients sees.
func watchLost(ctx context.Context, s *supervisor.Server, embedded *embed.Etcd) {
	ticker := time.NewTicker(lostPause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if s.Lost() != nil {
			embedded.Server.HardStop()
			return
		}
	}
}

// closeEtcd closes an etcd, whether it has been ready or not: upstream's Close waits for its servers for clients, which
// are there when it is ready.
func closeEtcd(embedded *embed.Etcd) {
	select {
	case <-embedded.Server.ReadyNotify():
	default:
		embedded.Server.Stop()
	}
	embedded.Close()
}
