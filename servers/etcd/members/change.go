package members

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Promote waits until a learner runs and has caught up, and makes it a voting member. It is done if it is one. The
// learner itself takes no such request.
func (m *Members) Promote(ctx context.Context, id uint64) error {
	err := m.until(ctx, func(v *view) error {
		learner := v.of(id)
		switch {
		case learner == nil:
			return errNone(id)
		case !learner.Learner:
			return nil
		case !learner.Healthy:
			// etcd would take it, if it had caught up before; and there would be no quorum with a voter of two missing.
			return again{fmt.Errorf("it does not answer: %w", learner.Err)}
		}
		return m.change(ctx, v.taker(), func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MemberPromote(ctx, id)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("the learner %x cannot become a voting member of etcd: %w", id, err)
	}
	return nil
}

// Update gives a member another peer URL, and no other than that. It is done if it has it. The member does not listen
// there by that.
func (m *Members) Update(ctx context.Context, id uint64, peerURL string) error {
	if _, err := types.NewURLs([]string{peerURL}); err != nil {
		return fmt.Errorf("%s cannot be the peer URL of a member of etcd: %w", peerURL, err)
	}
	err := m.until(ctx, func(v *view) error {
		member := v.of(id)
		switch {
		case member == nil:
			return errNone(id)
		case slices.Equal(member.PeerURLs, []string{peerURL}):
			return nil
		}
		for i := range v.members {
			if other := &v.members[i]; other != member && slices.Contains(other.PeerURLs, peerURL) {
				return fmt.Errorf("%s has it: choose another address", other)
			}
		}
		if err := v.present(); err != nil {
			return err
		}
		return m.change(ctx, v.taker(), func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MemberUpdate(ctx, id, []string{peerURL})
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("the member %x of etcd cannot be at %s: %w", id, peerURL, err)
	}
	return nil
}

func errNone(id uint64) error { return fmt.Errorf("there is no member %x any more", id) }
