package members

import (
	"fmt"
	"strings"
)

// Quorum is how many voting members there are, and how many of them etcd needs to decide anything.
type Quorum struct {
	Voters, Needed     int
	Answering, Healthy int // of the voters
}

// QuorumOf counts members.
func QuorumOf(members []Member) Quorum {
	q := Quorum{}
	for _, m := range members {
		q.count(m, 1)
	}
	return q.need()
}

// There reports whether there is a quorum.
func (q Quorum) There() bool { return q.Voters > 0 && q.Healthy >= q.Needed }

// Stopped is what is left if a member stops, and stays a member.
func (q Quorum) Stopped(m Member) Quorum {
	voters := q.Voters
	q.count(m, -1)
	q.Voters = voters
	return q
}

// Removed is what is left if a member is none any more.
func (q Quorum) Removed(m Member) Quorum {
	q.count(m, -1)
	return q.need()
}

func (q *Quorum) count(m Member, n int) {
	if m.Learner {
		return
	}
	q.Voters += n
	if m.Answers {
		q.Answering += n
	}
	if m.Healthy {
		q.Healthy += n
	}
}

func (q Quorum) need() Quorum {
	q.Needed = q.Voters/2 + 1
	return q
}

// String tells of it: "2 of 3 members answer, and 2 are needed".
func (q Quorum) String() string {
	verb := "answer"
	if q.Answering == 1 {
		verb = "answers"
	}
	return fmt.Sprintf("%d of %d members %s, and %d are needed", q.Answering, q.Voters, verb, q.Needed)
}

// present returns why there is no quorum, or nil.
func (v *view) present() error {
	q := QuorumOf(v.members)
	switch {
	case q.There():
		return nil
	case q.Answering >= q.Needed:
		return again{fmt.Errorf("etcd's members have no leader: %s", q)}
	}
	return fmt.Errorf("etcd has no quorum: %s; start those that do not: %s", q, v.silent(0))
}

// silent are the voting members that are not healthy, but that with the ID, and why.
func (v *view) silent(but uint64) string {
	var silent []string
	for i := range v.members {
		if m := &v.members[i]; !m.Learner && !m.Healthy && m.ID != but {
			silent = append(silent, fmt.Sprintf("%s: %v", m, m.Err))
		}
	}
	return strings.Join(silent, "; ")
}
