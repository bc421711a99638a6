package members

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/raft/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// again is an error after which it is worth another try.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

// until looks at the members, and calls f with what is seen, until that has succeeded, or failed with an error that
// stays. f finds by itself what an earlier call has done: how one that took too long ended is not known. When ctx ends,
// the error says what was waited for.
func (m *Members) until(ctx context.Context, f func(*view) error) error {
	told := ""
	for {
		v, err := m.look(ctx)
		if err == nil {
			err = f(v)
		}
		if !errors.As(err, new(again)) {
			return err
		}
		if text := err.Error(); text != told && ctx.Err() == nil {
			told = text
			m.log.Info("etcd's members cannot be changed yet", zap.String("why", text))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w; given up: %w", err, context.Cause(ctx))
		}
	}
}

// change asks a member for a change.
func (m *Members) change(ctx context.Context, url string, f func(context.Context, *clientv3.Client) error) error {
	err := m.ask(ctx, url, requestTime, f)
	if passes(err) {
		return again{errors.New(reason(err))}
	}
	return err
}

// passes reports whether an error of etcd's is over by itself: when the members are connected, have a leader, or have
// caught up. It may also be the answer that got lost.
func passes(err error) bool {
	for _, passing := range []error{
		rpctypes.ErrMemberNotEnoughStarted, rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrPeerURLExist, rpctypes.ErrMemberNotLearner,
		context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return err != nil && (codeOf(err) == codes.Unavailable || codeOf(err) == codes.DeadlineExceeded ||
		strings.Contains(err.Error(), raft.ErrProposalDropped.Error()))
}

// codeOf is the code of an error of etcd's, or of gRPC's.
func codeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// reason is an error of gRPC's without its wrapping.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || codeOf(err) == codes.DeadlineExceeded {
		return "no answer in time"
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	if _, inner, ok := strings.Cut(text, `desc = "transport: `); ok {
		text = strings.TrimPrefix(strings.TrimSuffix(inner, `"`), "Error while dialing: ")
	}
	return strings.TrimPrefix(text, "etcdserver: ")
}
