package members

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/seed-200a7251/km/servers/component"
)

// Member is one of the members, and how it is.
type Member struct {
	ID                   uint64
	Name                 string // empty until it has started for the first time
	PeerURLs, ClientURLs []string
	Learner              bool // does not count for the quorum
	Leader               bool

	// Answers is whether it has said how it is, itself: what follows is set then. One that has started, but has not
	// found a quorum since, does not answer clients yet.
	Answers     bool
	Version     string
	DBSize      int64 // in bytes
	Term, Index uint64

	// Healthy is whether it answers, and has a leader, or is that. Err says why it is not, and is nil if it is.
	Healthy bool
	Err     error

	at string // where it has answered
}

// String is the member's name, or its ID, and where others reach it.
func (m *Member) String() string {
	return fmt.Sprintf("%s (%s)", cmp.Or(m.Name, fmt.Sprintf("%x", m.ID)), strings.Join(m.PeerURLs, ", "))
}

// List returns the members, sorted by their names. All are asked how they are, at once. Without a quorum they are those
// that the member knows of that was asked.
func (m *Members) List(ctx context.Context) ([]Member, error) {
	v, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	return v.members, nil
}

// view is what is seen in one look at the members.
type view struct {
	members []Member
	asked   string // the address of the member that has said who they are
}

// taker is the address for a change: that of the leader, which knows best whether the others are there.
func (v *view) taker() string {
	for i := range v.members {
		if v.members[i].Leader && v.members[i].at != "" {
			return v.members[i].at
		}
	}
	return v.asked
}

// of is the member with that ID, or nil.
func (v *view) of(id uint64) *Member {
	if i := slices.IndexFunc(v.members, func(m Member) bool { return m.ID == id }); i >= 0 {
		return &v.members[i]
	}
	return nil
}

// answer is what the etcd at an address says of itself.
type answer struct {
	url string
	*clientv3.StatusResponse
	err error
}

// look asks who the members are, and how they are.
func (m *Members) look(ctx context.Context) (*view, error) {
	answers := m.statuses(ctx, m.endpoints)
	first, err := m.best(answers)
	if err != nil {
		return nil, err
	}
	list, err := m.list(ctx, first)
	if err != nil {
		return nil, again{fmt.Errorf("etcd at %s does not say who its members are: %s", first.url, reason(err))}
	}
	var others []string
	for _, member := range list.Members {
		known := slices.ContainsFunc(answers, func(a answer) bool { return a.err == nil && a.Header.MemberId == member.ID })
		for _, url := range member.ClientURLs {
			if !known && !slices.Contains(m.endpoints, url) && !slices.Contains(others, url) {
				others = append(others, url)
			}
		}
	}
	answers = append(answers, m.statuses(ctx, others)...)
	v := &view{asked: first.url}
	leader := leaderIn(answers, list.Header.ClusterId)
	for _, member := range list.Members {
		v.members = append(v.members, memberOf(member, list.Header.ClusterId, leader, answers))
	}
	slices.SortStableFunc(v.members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return v, nil
}

// statuses asks the etcds at these addresses, all at once.
func (m *Members) statuses(ctx context.Context, urls []string) []answer {
	answers := make([]answer, len(urls))
	var asked sync.WaitGroup
	for i, url := range urls {
		asked.Go(func() {
			a := answer{url: url}
			a.err = m.ask(ctx, url, askTime, func(ctx context.Context, client *clientv3.Client) (err error) {
				a.StatusResponse, err = client.Status(ctx, component.Endpoints(url))
				return err
			})
			answers[i] = a
		})
	}
	asked.Wait()
	return answers
}

// best is the endpoint that is asked who the members are: one with a leader, if there is one, and no learner.
func (m *Members) best(answers []answer) (best answer, err error) {
	var errs []string
	for _, a := range answers {
		switch {
		case a.err != nil:
			errs = append(errs, fmt.Sprintf("etcd at %s does not answer: %s", a.url, reason(a.err)))
		case a.IsLearner && a.url != inProcess:
			errs = append(errs, fmt.Sprintf("etcd at %s is a learner, which does not say who the members are: ask another one", a.url))
		case best.StatusResponse == nil || best.Leader == 0 && a.Leader != 0:
			best = a
		}
	}
	if best.StatusResponse == nil {
		return best, again{errors.New(strings.Join(errs, "; "))}
	}
	return best, nil
}

// list asks a member for the list. That is the newest, unless the member has no quorum.
func (m *Members) list(ctx context.Context, a answer) (list *clientv3.MemberListResponse, err error) {
	err = m.ask(ctx, a.url, askTime, func(ctx context.Context, client *clientv3.Client) (err error) {
		if a.Leader != 0 {
			list, err = client.MemberList(ctx)
		}
		return err
	})
	if err == nil && list != nil || ctx.Err() != nil {
		return list, err
	}
	err = m.ask(ctx, a.url, askTime, func(ctx context.Context, client *clientv3.Client) (err error) {
		list, err = client.MemberList(ctx, clientv3.WithSerializable())
		return err
	})
	return list, err
}

// leaderIn is the ID of the newest leader that answers tell of, or 0.
func leaderIn(answers []answer, cluster uint64) (leader uint64) {
	term := uint64(0)
	for _, a := range answers {
		if a.err == nil && a.Header.ClusterId == cluster && a.Leader != 0 && a.RaftTerm >= term {
			leader, term = a.Leader, a.RaftTerm
		}
	}
	return leader
}

// memberOf puts together what the list and the answers say of a member. What has answered at its address may be another
// one: paths of sockets are the same on many machines.
func memberOf(listed *etcdserverpb.Member, cluster, leader uint64, answers []answer) Member {
	m := Member{
		ID: listed.ID, Name: listed.Name, PeerURLs: listed.PeerURLs, ClientURLs: listed.ClientURLs,
		Learner: listed.IsLearner, Leader: listed.ID == leader,
	}
	var errs []string
	for _, a := range answers {
		own := slices.Contains(m.ClientURLs, a.url)
		switch {
		case a.err != nil && own:
			errs = append(errs, fmt.Sprintf("%s: %s", a.url, reason(a.err)))
		case a.err != nil:
		case a.Header.ClusterId == cluster && a.Header.MemberId == m.ID:
			m.Answers, m.at = true, a.url
			m.Version, m.DBSize, m.Term, m.Index = a.Version, a.DbSize, a.RaftTerm, a.RaftIndex
			m.Healthy = a.Leader != 0
		case own:
			errs = append(errs, a.url+": another etcd answers there")
		}
	}
	switch {
	case m.Healthy:
	case m.Answers:
		m.Err = errors.New("it has no leader")
	case len(m.ClientURLs) == 0:
		m.Err = errors.New("it has not started yet")
	default:
		m.Err = errors.New(strings.Join(errs, "; "))
	}
	return m
}
