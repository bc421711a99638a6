package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage"
	"go.uber.org/zap"
)

// endAlarm ends the alarm that the database has reached its quota, if it is below that now: etcd keeps the alarm in the database, and
// refuses all writes, however large the quota is with which it is started.
func endAlarm(ctx context.Context, e *embed.Etcd, log *zap.Logger) error {
	quota := e.Config().QuotaBackendBytes
	if quota == 0 {
		quota = storage.DefaultQuotaBytes
	}
	if quota > 0 && e.Server.Backend().Size() >= quota {
		return nil
	}
	for _, alarm := range e.Server.Alarms() {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		log.Info("the database is below its quota again", zap.Int64("quota", quota))
		if _, err := e.Server.Alarm(ctx, &etcdserverpb.AlarmRequest{
			Action: etcdserverpb.AlarmRequest_DEACTIVATE, MemberID: alarm.MemberID, Alarm: alarm.Alarm,
		}); err != nil {
			return err
		}
	}
	return nil
}
