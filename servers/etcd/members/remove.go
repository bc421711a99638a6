package members

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Remove removes the member with that name or ID, whether it runs or not. Its etcd, if it runs, ends by itself a second
// later. If it is the leader, another one is before. It is refused if that would leave no quorum.
func (m *Members) Remove(ctx context.Context, member string) error {
	var asked uint64 // the ID of the member, when its removal has been asked for
	err := m.until(ctx, func(v *view) error {
		if asked != 0 && v.of(asked) == nil {
			return nil
		}
		leaving, err := v.find(member)
		if err != nil {
			return err
		}
		if err := v.removable(leaving); err != nil {
			return err
		}
		taker := v.taker()
		if leaving.Leader {
			if taker, err = m.moveLeader(ctx, v, leaving); err != nil {
				return err
			}
		}
		asked = leaving.ID
		err = m.change(ctx, taker, func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MemberRemove(ctx, leaving.ID)
			return err
		})
		if errors.Is(err, rpctypes.ErrMemberNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s cannot leave etcd: %w", member, err)
	}
	return nil
}

// find returns the member with a name, or an ID as people see it.
func (v *view) find(text string) (found *Member, err error) {
	id, errID := strconv.ParseUint(text, 16, 64)
	var all []string
	for i := range v.members {
		m := &v.members[i]
		all = append(all, fmt.Sprintf("%s %x", m, m.ID))
		switch {
		case m.Name != text || m.Name == "":
		case found != nil:
			return nil, fmt.Errorf("there are several members of this name, with the IDs %x and %x: say which", found.ID, m.ID)
		default:
			found = m
		}
	}
	if found == nil && errID == nil {
		found = v.of(id)
	}
	if found == nil {
		return nil, fmt.Errorf("there is no such member; there are: %s", strings.Join(all, "; "))
	}
	return found, nil
}

// removable returns why a member cannot be removed, or nil.
func (v *view) removable(leaving *Member) error {
	if q := QuorumOf(v.members); q.Voters == 1 && !leaving.Learner {
		return errors.New("it is the only voting member, and has all there is")
	}
	if err := v.present(); err != nil {
		return err
	}
	if left := QuorumOf(v.members).Removed(*leaving); !left.There() {
		return fmt.Errorf("there would be no quorum without it: start, or remove before, what does not answer: %s", v.silent(leaving.ID))
	}
	return nil
}

// moveLeader has another member lead, and returns its address.
func (m *Members) moveLeader(ctx context.Context, v *view, leader *Member) (string, error) {
	if !leader.Answers {
		return "", again{fmt.Errorf("the leader, %s, does not answer: another one is elected", leader)}
	}
	next := -1
	for i, other := range v.members {
		if other.Healthy && !other.Learner && other.ID != leader.ID && (next < 0 || other.Index > v.members[next].Index) {
			next = i
		}
	}
	if next < 0 { // as the caller has seen, there is one
		return "", again{errors.New("there is no member that could lead")}
	}
	err := m.change(ctx, leader.at, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MoveLeader(ctx, v.members[next].ID)
		return err
	})
	if err != nil {
		// Whatever it is, it is about who leads, and that is seen anew.
		return "", again{fmt.Errorf("%s cannot lead in its place: %s", &v.members[next], reason(err))}
	}
	return v.members[next].at, nil
}
