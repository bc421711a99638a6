package etcd

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// streams ends the streams that clients hold open, such as watches, when etcd is about to close. Upstream waits seven
// seconds for clients to end them by themselves (server/embed/etcd.go, stopServers), which those do that are to see its
// restart through, such as the apiserver, never.
type streams struct {
	ending context.Context
	end    context.CancelFunc
}

// option makes a server's streams end with end. It is to be called first, and once.
func (s *streams) option() grpc.ServerOption {
	s.ending, s.end = context.WithCancel(context.Background())
	return grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(s.ending, cancel)()
		err := handle(server, &endingStream{stream, ctx})
		if s.ending.Err() != nil {
			// Clients take this for a server that comes back, and go on where they were.
			return status.Error(codes.Unavailable, "etcd is being stopped")
		}
		return err
	})
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *endingStream) Context() context.Context { return s.ctx }
