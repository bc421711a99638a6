package members

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Add adds a learner, and returns its ID and the value of --initial-cluster with which it is to start.
//
// A member with that peer URL that does not answer is removed first: its machine has lost its disk, or has broken off
// between Add and the start. One that answers is an error, and so is one with that name elsewhere. Only one member can
// come at a time: another learner is waited for, unless it does not start.
func (m *Members) Add(ctx context.Context, name, peerURL string) (initialCluster string, id uint64, err error) {
	if name == "" || strings.ContainsAny(name, ",=") {
		return "", 0, fmt.Errorf("%q cannot be the name of a member of etcd: it is empty, or has a comma or an equals sign", name)
	}
	if _, err := types.NewURLs([]string{peerURL}); err != nil {
		return "", 0, fmt.Errorf("%s cannot be the peer URL of a member of etcd: %w", peerURL, err)
	}
	a := &adding{Members: m, name: name, peerURL: peerURL}
	err = m.until(ctx, func(v *view) error { return a.add(ctx, v) })
	if err != nil {
		return "", 0, fmt.Errorf("%s cannot become a member of etcd as %s: %w", peerURL, name, err)
	}
	return initialClusterOf(a.members, a.id, name), a.id, nil
}

// adding is one Add.
type adding struct {
	*Members
	name, peerURL string

	learner uint64 // that is waited for
	late    time.Time

	id      uint64
	members []*etcdserverpb.Member
}

func (a *adding) add(ctx context.Context, v *view) error {
	if err := v.present(); err != nil {
		return err
	}
	old, err := v.place(a.name, a.peerURL)
	if err != nil {
		return err
	}
	if old != nil {
		if err := a.remove(ctx, v, old); err != nil {
			return err
		}
	}
	err = a.change(ctx, v.taker(), func(ctx context.Context, client *clientv3.Client) error {
		added, err := client.MemberAddAsLearner(ctx, []string{a.peerURL})
		if err == nil {
			a.id, a.members = added.Member.ID, added.Members
		}
		return err
	})
	silent := v.silent(idOf(old))
	switch {
	case errors.Is(err, rpctypes.ErrMemberNotFound):
		// An ID is of the address and the second (membership.computeMemberID), and those of removed members are void.
		return again{errors.New("a member with this address was removed just now")}
	case errors.Is(err, rpctypes.ErrTooManyLearners):
		return a.behind(v)
	case errors.As(err, new(again)) && silent != "":
		// It counts the new one as missing, too.
		return again{fmt.Errorf("%w: start, or remove, what does not answer: %s", err, silent)}
	}
	return err
}

// place returns the member whose place the new one is to take, or nil, or why it cannot be a member.
func (v *view) place(name, peerURL string) (old *Member, err error) {
	for i := range v.members {
		m := &v.members[i]
		switch here := slices.Contains(m.PeerURLs, peerURL); {
		case here && m.Answers:
			return nil, fmt.Errorf("a member with this address runs, %s: stop it, and remove it, or join with another address", m)
		case here && m.Leader:
			return nil, again{fmt.Errorf("the member with this address, %s, has been the leader until now: another one is elected", m)}
		case here:
			old = m
			continue
		case m.Name == name && m.Answers:
			return nil, fmt.Errorf("its name is that of %s: choose another with --etcd.name", m)
		}
		if slices.ContainsFunc(m.PeerURLs, func(other string) bool { return apart(other, peerURL) }) {
			return nil, fmt.Errorf("%s is reached by its own machine only: have it advertise an address first", m)
		}
		if slices.ContainsFunc(m.PeerURLs, func(other string) bool { return apart(peerURL, other) }) {
			return nil, fmt.Errorf("%s would not reach it there: give it an address that is not of loopback", m)
		}
	}
	return old, nil
}

// apart reports whether the first URL is of no use where the other one is: it is that of a member that was alone, or on
// loopback.
func apart(first, other string) bool {
	return first == embed.DefaultInitialAdvertisePeerURLs || onLoopback(first) && !onLoopback(other)
}

func onLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// remove removes the member whose place the new one takes.
func (a *adding) remove(ctx context.Context, v *view, old *Member) error {
	a.log.Warn("a member of etcd that does not answer is removed, as another one takes its address", zap.Stringer("member", old), zap.Error(old.Err))
	err := a.change(ctx, v.taker(), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberRemove(ctx, old.ID)
		return err
	})
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return nil
	}
	return err
}

// behind is the error while there is another learner.
func (a *adding) behind(v *view) error {
	i := slices.IndexFunc(v.members, func(m Member) bool { return m.Learner && !slices.Contains(m.PeerURLs, a.peerURL) })
	if i < 0 { // it came since, or is gone
		return again{errors.New("another member is joining")}
	}
	learner := &v.members[i]
	if a.learner != learner.ID {
		a.learner, a.late = learner.ID, time.Now().Add(a.startTime)
	}
	if learner.Healthy || time.Now().Before(a.late) {
		return again{fmt.Errorf("another member is joining, %s", learner)}
	}
	return fmt.Errorf("%s has not finished joining, and is in the way: start it, or remove the member %x", learner, learner.ID)
}

func idOf(m *Member) uint64 {
	if m == nil {
		return 0
	}
	return m.ID
}

// initialClusterOf is the value of --initial-cluster for a new member. It knows the others by their URLs, and tells
// them apart by names (membership.ValidateClusterAndAssignIDs); those with no name of their own go by their IDs.
func initialClusterOf(members []*etcdserverpb.Member, id uint64, name string) string {
	times := map[string]int{name: 1}
	for _, m := range members {
		if m.ID != id {
			times[m.Name]++
		}
	}
	var all []string
	for _, m := range members {
		as := m.Name
		switch {
		case m.ID == id:
			as = name
		case as == "" || times[as] > 1 || strings.ContainsAny(as, ",="):
			as = fmt.Sprintf("%x", m.ID)
		}
		for _, u := range m.PeerURLs {
			all = append(all, as+"="+u)
		}
	}
	return strings.Join(all, ",")
}
