package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// fullness tells people that the database has reached its quota, as long as etcd's alarm of that is on: it refuses
// whatever writes then, and goes on answering otherwise. The alarm is looked at when it is likely to have changed, and
// while it is on: another member may end it.
type fullness struct {
	server *supervisor.Server
	repair string // what to type
	etcd   atomic.Pointer[embed.Etcd]

	mu      sync.Mutex
	looking bool // it is looked again in a moment
}

// lookPause is how long it is from one look to the next while the alarm is on.
const lookPause = time.Second

// option has the alarm looked at before the client is answered that has raised it, or has asked for its end.
func (f *fullness) option() grpc.ServerOption {
	return grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		answer, err := handle(ctx, request)
		if err != nil && errors.Is(err, rpctypes.ErrGRPCNoSpace) || info.FullMethod == etcdserverpb.Maintenance_Alarm_FullMethodName {
			f.look()
		}
		return answer, err
	})
}

// of has the alarm of this etcd told; of none, nothing is.
func (f *fullness) of(etcd *embed.Etcd) { f.etcd.Store(etcd) }

// look looks at the alarm.
func (f *fullness) look() {
	etcd := f.etcd.Load()
	if etcd == nil {
		return
	}
	full := isFull(etcd)
	f.server.Degraded(f.told(full, quotaOf(etcd)))
	f.mu.Lock()
	defer f.mu.Unlock()
	if full && !f.looking {
		f.looking = true
		time.AfterFunc(lookPause, func() {
			f.mu.Lock()
			f.looking = false
			f.mu.Unlock()
			f.look()
		})
	}
}

// told is what people are told.
func (f *fullness) told(full bool, quota int64) error {
	if !full {
		return nil
	}
	return fmt.Errorf("its database has reached its quota of %s, and nothing can be written any more: make room with `%s`", component.Size(quota), f.repair)
}

// isFull reports whether the alarm is on that the database has reached its quota, in any member.
func isFull(etcd *embed.Etcd) bool {
	return slices.ContainsFunc(etcd.Server.Alarms(), func(a *etcdserverpb.AlarmMember) bool { return a.Alarm == etcdserverpb.AlarmType_NOSPACE })
}
