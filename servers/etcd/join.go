package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/supervisor"
)

const (
	// addTime is how long the members that are there may take to let this one join.
	addTime = time.Minute
	// takeBackTime is how long they may take to forget it again.
	takeBackTime = 10 * time.Second
)

// joining makes the etcd of this machine a member of one that is there.
type joining struct {
	plan           *supervisor.Plan
	find           func(context.Context) ([]string, error) // URLs for clients of the members
	name, peerURL  string
	log            *zap.Logger
	initialCluster string // with which it is to start
}

// join has the members that are there take this one as a learner, unless it is a member already. If the run ends before
// its etcd has started, they forget it again.
func (e *etcd) join(ctx context.Context, p *supervisor.Plan, s *supervisor.Server, at place) error {
	find := e.cluster.Peers()
	if find == nil || at.begun() {
		return nil
	}
	j := &joining{plan: p, find: find, name: s.Value("name"), peerURL: s.Value("initial-advertise-peer-urls"), log: s.Logger()}
	p.AtEnd(func() {
		if at.begun() {
			return
		}
		if err := j.takeBack(); err != nil {
			j.log.Warn("the members of etcd may still take this machine for one: joining again mends that", zap.Error(err))
		}
	})
	e.joining = j
	return j.add(ctx)
}

func (j *joining) members(ctx context.Context) (*members.Members, error) {
	urls, err := j.find(ctx)
	if err != nil {
		return nil, err
	}
	tls, err := cluster.EtcdTLS(j.plan)
	if err != nil {
		return nil, err
	}
	return members.At(urls, tls, j.log)
}

// add has the members take this one. Called again, it takes its own place.
func (j *joining) add(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, addTime, fmt.Errorf("%v are over", addTime))
	defer cancel()
	m, err := j.members(ctx)
	if err == nil {
		j.initialCluster, _, err = m.Add(ctx, j.name, j.peerURL)
	}
	return err
}

// takeBack has the members forget this one, which has not started. A member that has a name has started.
func (j *joining) takeBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), takeBackTime)
	defer cancel()
	m, err := j.members(ctx)
	if err != nil {
		return err
	}
	all, err := m.List(ctx)
	if err != nil {
		return err
	}
	for _, member := range all {
		if member.Learner && member.Name == "" && slices.Equal(member.PeerURLs, []string{j.peerURL}) {
			err = errors.Join(err, m.Remove(ctx, fmt.Sprintf("%x", member.ID)))
		}
	}
	return err
}

// configure has a first start join.
func (j *joining) configure(c *embed.Config) {
	c.InitialCluster, c.ClusterState = j.initialCluster, embed.ClusterStateFlagExisting
}

// changed reports whether a first start has failed because the members are not those any more that have taken this one:
// another one has come, has gone, or has another address (etcdserver, bootstrapExistingClusterNoWAL).
func changed(err error) bool {
	return err != nil && strings.Contains(err.Error(), "error validating peerURLs")
}

// open starts etcd. A first start joins, if there is something to join.
func (l *life) open(ctx context.Context) (*embed.Etcd, error) {
	start := func() (*embed.Etcd, error) { return embed.StartEtcd(l.config) }
	j := l.joining
	if j == nil || l.at.begun() {
		return guarded(l.server, l.fatal, start)
	}
	j.configure(l.config)
	embedded, err := guarded(l.server, l.fatal, start)
	if !changed(err) {
		return embedded, err
	}
	l.server.Logger().Info("etcd's members have changed meanwhile: this one joins again", zap.Error(err))
	if err := j.add(ctx); err != nil {
		return nil, err
	}
	j.configure(l.config)
	return guarded(l.server, l.fatal, start)
}
