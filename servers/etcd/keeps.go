package etcd

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/datadir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-200a7251/km/supervisor"
)

// keeps are the paths without which what etcd acknowledges is lost: it goes on with the files that it has open, as if
// nothing were missing.
func keeps(s *supervisor.Server) []string {
	c, err := load(s)
	if err != nil { // it would not run
		return nil
	}
	wal := cmp.Or(c.WalDir, datadir.ToWALDir(c.Dir))
	// A defragmentation replaces the database.
	return []string{c.Dir, wal, lastIn(wal), DatabaseIn(c.Dir)}
}

// lastIn is the file of a write-ahead log that is written to. When it is full another one follows, and old ones are
// removed.
func lastIn(wal string) string {
	const suffix = ".wal"
	entries, _ := os.ReadDir(wal) // that it is not there is seen anyway
	for _, e := range slices.Backward(entries) {
		if strings.HasSuffix(e.Name(), suffix) {
			return filepath.Join(wal, e.Name())
		}
	}
	return filepath.Join(wal, "*"+suffix)
}

// onlyKept has etcd acknowledge nothing that is lost. The run ends soon after, but not before many a write.
func onlyKept(s *supervisor.Server) grpc.ServerOption {
	return grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		answer, err := handle(ctx, request)
		if err == nil && info.FullMethod != etcdserverpb.KV_Range_FullMethodName { // that writes nothing
			if lost := s.Lost(); lost != nil {
				return nil, status.Errorf(codes.DataLoss, "etcd is being stopped: %v", lost)
			}
		}
		return answer, err
	})
}
