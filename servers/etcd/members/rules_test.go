package members

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func voter(id uint64, name string, healthy bool) Member {
	return Member{ID: id, Name: name, PeerURLs: []string{"https://10.0.0." + name + ":2380"}, Answers: healthy, Healthy: healthy}
}

// What is needed is more than half of the voters; learners do not count.
func TestQuorum(t *testing.T) {
	up, down, learner := voter(1, "1", true), voter(2, "2", false), Member{ID: 3, Learner: true, Answers: true, Healthy: true}
	for _, test := range []struct {
		members []Member
		want    Quorum
		there   bool
		// whether there is a quorum without one that is up, or down: if it stops, and if it is removed
		upStopped, upRemoved, downRemoved bool
	}{
		{members: []Member{up}, want: Quorum{1, 1, 1, 1}, there: true},
		{members: []Member{up, learner}, want: Quorum{1, 1, 1, 1}, there: true},
		{members: []Member{up, up}, want: Quorum{2, 2, 2, 2}, there: true, upRemoved: true},
		{members: []Member{up, down}, want: Quorum{2, 2, 1, 1}, downRemoved: true},
		{members: []Member{up, up, up}, want: Quorum{3, 2, 3, 3}, there: true, upStopped: true, upRemoved: true},
		{members: []Member{up, up, down}, want: Quorum{3, 2, 2, 2}, there: true, downRemoved: true},
		{members: []Member{up, down, down}, want: Quorum{3, 2, 1, 1}},
		{members: []Member{up, up, up, down}, want: Quorum{4, 3, 3, 3}, there: true, upRemoved: true, downRemoved: true},
		{members: []Member{up, up, up, down, down}, want: Quorum{5, 3, 3, 3}, there: true, downRemoved: true},
	} {
		q := QuorumOf(test.members)
		if q != test.want || q.There() != test.there {
			t.Errorf("%+v, want %+v", q, test)
		}
		if got := q.Stopped(up).There(); got != test.upStopped {
			t.Errorf("%+v: without one that stops: %v", q, got)
		}
		if got := q.Removed(up).There(); got != test.upRemoved {
			t.Errorf("%+v: without one that is removed: %v", q, got)
		}
		if q.Answering == q.Voters {
			continue
		}
		if got := q.Removed(down).There(); got != test.downRemoved {
			t.Errorf("%+v: without one that does not answer: %v", q, got)
		}
		if q.Stopped(down).There() != test.there || q.Removed(learner) != q || q.Stopped(learner) != q {
			t.Errorf("%+v: it is another one without what does not count", q)
		}
	}
}

// Who joins takes the place of a member that does not answer, and not that of one that does.
func TestPlace(t *testing.T) {
	lead := func(m Member) Member { m.Leader = true; return m }
	at := func(m Member, url string) Member { m.PeerURLs = []string{url}; return m }
	const new = "https://10.0.0.9:2380"
	alone := []Member{at(voter(1, "1", true), embed.DefaultInitialAdvertisePeerURLs)}
	for _, test := range []struct {
		name, peer string
		members    []Member
		old        uint64
		fail       string
		later      bool
	}{
		{name: "first", members: []Member{voter(1, "1", true)}},
		{name: "same address", members: []Member{voter(1, "1", true), at(voter(2, "2", false), new)}, old: 2},
		{name: "runs", members: []Member{voter(1, "1", true), at(voter(2, "2", true), new)}, fail: "runs, 2 ("},
		{name: "led", members: []Member{voter(1, "1", true), at(lead(voter(2, "2", false)), new)}, fail: "another one is elected", later: true},
		{name: "1", members: []Member{voter(1, "1", true)}, fail: "its name is that of 1 ("},
		{name: "1", members: []Member{voter(1, "1", false)}},
		{name: "alone", members: alone, fail: "have it advertise"},
		{name: "alone here", peer: "https://127.0.0.1:1", members: alone, fail: "have it advertise"},
		{name: "theirs on loopback", members: []Member{at(voter(1, "1", true), "https://[::1]:2380")}, fail: "have it advertise"},
		{name: "its own on loopback", peer: "https://localhost:1", members: []Member{voter(1, "1", true)}, fail: "would not reach it there"},
		{name: "both on loopback", peer: "https://localhost:1", members: []Member{at(voter(1, "1", true), "https://127.0.0.1:2380")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.peer == "" {
				test.peer = new
			}
			old, err := (&view{members: test.members}).place(test.name, test.peer)
			if idOf(old) != test.old {
				t.Errorf("the place of %v", old)
			}
			if (err != nil) != (test.fail != "") || errors.As(err, &again{}) != test.later {
				t.Error(err)
			}
			if err != nil {
				refused(t, err, test.fail)
			}
		})
	}
}

// Another learner is waited for if it is about to start, or to be promoted.
func TestBehind(t *testing.T) {
	unstarted := Member{ID: 0xabc, PeerURLs: []string{"https://10.0.0.8:2380"}, Learner: true}
	started := unstarted
	started.Answers, started.Healthy = true, true
	for _, test := range []struct {
		learner Member
		time    time.Duration
		later   bool
	}{
		{started, 0, true}, {unstarted, time.Hour, true}, {unstarted, 0, false},
	} {
		a := &adding{Members: &Members{startTime: test.time}, name: "9", peerURL: "https://10.0.0.9:2380"}
		err := a.behind(&view{members: []Member{voter(1, "1", true), test.learner}})
		if errors.As(err, &again{}) != test.later {
			t.Errorf("%+v: %v", test, err)
		}
		if !test.later {
			refused(t, err, "abc (https://10.0.0.8:2380) has not finished joining", "remove the member abc")
		}
	}
}

// Members are told apart, whatever they are called.
func TestInitialCluster(t *testing.T) {
	member := func(id uint64, name string, urls ...string) *etcdserverpb.Member {
		return &etcdserverpb.Member{ID: id, Name: name, PeerURLs: urls}
	}
	got := initialClusterOf([]*etcdserverpb.Member{
		member(0xa, "a", "https://a:1", "https://a:2"), member(0xb, "km", "https://b:1"), member(0xc, "twice", "https://c:1"),
		member(0xd, "twice", "https://d:1"), member(0xe, "", "https://e:1"), member(0xf, "", "https://f:1"),
	}, 0xf, "km")
	const want = "a=https://a:1,a=https://a:2,b=https://b:1,c=https://c:1,d=https://d:1,e=https://e:1,km=https://f:1"
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A member is named, or its ID is, where names are not enough.
func TestFind(t *testing.T) {
	v := &view{members: []Member{voter(0xa1, "b", true), voter(0xa2, "twice", true), voter(0xa3, "twice", true), voter(0xb, "", false)}}
	for text, want := range map[string]uint64{"b": 0xa1, "a1": 0xa1, "a3": 0xa3, "B": 0xb} {
		if m, err := v.find(text); err != nil || m.ID != want {
			t.Errorf("%s: %v (%v), want %x", text, m, err, want)
		}
	}
	for text, want := range map[string]string{
		"twice": "with the IDs a2 and a3", "a4": "there is no such member; there are: b (", "": "there is no such member",
	} {
		_, err := v.find(text)
		refused(t, err, want)
	}
}

// What answers at a member's address may be another one, and one that answers may have no leader.
func TestMemberOf(t *testing.T) {
	const cluster, url = 7, "unix:///etcd.sock"
	from := func(cluster, member, leader uint64) answer {
		return answer{url: url, StatusResponse: &clientv3.StatusResponse{
			Header: &etcdserverpb.ResponseHeader{ClusterId: cluster, MemberId: member}, Leader: leader, RaftTerm: leader, Version: "3.7.0",
		}}
	}
	a := &etcdserverpb.Member{ID: 0xa, Name: "a", ClientURLs: []string{url}}
	for _, test := range []struct {
		name         string
		listed       *etcdserverpb.Member
		answers      []answer
		does, leader bool
		fail         string
	}{
		{name: "well", listed: a, answers: []answer{from(cluster, 0xa, 0xb)}, does: true},
		{name: "leads", listed: a, answers: []answer{from(cluster, 0xa, 0xa)}, does: true, leader: true},
		{name: "no leader", listed: a, answers: []answer{from(cluster, 0xa, 0)}, does: true, fail: "it has no leader"},
		{name: "another member", listed: a, answers: []answer{from(cluster, 0xb, 0xb)}, fail: url + ": another etcd answers there"},
		{name: "another cluster", listed: a, answers: []answer{from(8, 0xa, 0xa)}, fail: url + ": another etcd answers there"},
		{name: "nobody", listed: a, answers: []answer{{url: url, err: errors.New("refused")}}, fail: url + ": refused"},
		{name: "not started", listed: &etcdserverpb.Member{ID: 0xa}, answers: []answer{from(cluster, 0xb, 0xb)}, fail: "it has not started yet"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := memberOf(test.listed, cluster, leaderIn(test.answers, cluster), test.answers)
			if m.Answers != test.does || m.Leader != test.leader || m.Healthy != (test.fail == "") {
				t.Errorf("%+v", m)
			}
			if m.Healthy != (m.Err == nil) || m.Err != nil && m.Err.Error() != test.fail {
				t.Error(m.Err)
			}
		})
	}
}

// What is over by itself is tried again, and what is not is told; both without the wrapping of gRPC.
func TestPasses(t *testing.T) {
	connection := func(why string) error {
		return status.Error(codes.Unavailable, `connection error: desc = "transport: `+why+`"`)
	}
	for _, test := range []struct {
		err    error
		passes bool
		reason string
	}{
		{rpctypes.ErrLeaderChanged, true, "leader changed"},
		{rpctypes.ErrNoLeader, true, "no leader"},
		{rpctypes.ErrUnhealthy, true, "unhealthy cluster"},
		{rpctypes.ErrTimeoutDueToLeaderFail, true, "request timed out, possibly due to previous leader failure"},
		{rpctypes.ErrStopped, true, "server stopped"},
		{rpctypes.ErrMemberNotEnoughStarted, true, "re-configuration failed due to not enough started members"},
		{rpctypes.ErrMemberLearnerNotReady, true, "can only promote a learner member which is in sync with leader"},
		{rpctypes.ErrPeerURLExist, true, "Peer URLs already exists"},
		{status.Error(codes.Unknown, "raft proposal dropped"), true, "raft proposal dropped"},
		{connection("Error while dialing: dial tcp 10.0.0.1:2379: connect: connection refused"), true, "dial tcp 10.0.0.1:2379: connect: connection refused"},
		{connection("authentication handshake failed: EOF"), true, "authentication handshake failed: EOF"},
		{context.DeadlineExceeded, true, "no answer in time"},
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), true, "no answer in time"},
		{rpctypes.ErrTooManyLearners, false, "too many learner members in cluster"},
		{rpctypes.ErrMemberNotFound, false, "member not found"},
		{rpctypes.ErrPermissionDenied, false, "permission denied"},
		{context.Canceled, false, "context canceled"},
	} {
		if got := passes(test.err); got != test.passes {
			t.Errorf("%v: %v", test.err, got)
		}
		if got := reason(test.err); got != test.reason {
			t.Errorf("%v: %q, want %q", test.err, got, test.reason)
		}
	}
	if passes(nil) {
		t.Error("what has succeeded is tried again")
	}
}
