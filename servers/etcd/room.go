package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// room is what has been done to make room in a database: nothing of what was written over or deleted is in it any more,
// and the space of that is the file system's again.
type room struct {
	revision      int64 // up to which it is compacted
	before, after int64 // its size, as the quota counts it
	quota         int64 // negative for none
	wasFull       bool  // the alarm was on
	elsewhere     int   // of how many other members the alarm stays on
}

// full reports whether the alarm is still on.
func (r *room) full() bool { return r.wasFull && r.quota > 0 && r.after >= r.quota }

// nearlyFull reports whether the next writes may raise the alarm: less than a tenth of the quota is left.
func (r *room) nearlyFull() bool { return r.quota > 0 && r.after >= r.quota-r.quota/10 }

func (r *room) String() string {
	text := fmt.Sprintf("compacted up to revision %d, and defragmented: %s, before %s", r.revision, component.Size(r.after), component.Size(r.before))
	if r.quota > 0 {
		text += "; the quota is " + component.Size(r.quota)
	}
	return text
}

// store is an etcd in which room can be made.
type store struct {
	*clientv3.Client
	endpoint   string // for the client
	database   string // the file
	defragment func(context.Context) error
}

// storeAt is the etcd that can be asked there.
func storeAt(endpoint, database string) (*store, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return &store{client, endpoint, database, func(ctx context.Context) error {
		_, err := client.Defragment(ctx, endpoint)
		return err
	}}, nil
}

// storeOf is an etcd of this process.
func storeOf(etcd *embed.Etcd) *store {
	// Upstream's client without a connection cannot defragment: it wants to tell a health server of it.
	return &store{v3client.New(etcd.Server), "", DatabaseIn(etcd.Config().Dir), func(context.Context) error { return etcd.Server.Defragment() }}
}

// makeRoom compacts the database up to now, defragments it, and ends the alarm if it is below its quota then.
func (s *store) makeRoom(ctx context.Context) (*room, error) {
	status, err := s.Status(ctx, s.endpoint)
	if err != nil {
		return nil, err
	}
	r := &room{revision: status.Header.Revision, before: status.DbSize, quota: status.DbSizeQuota}
	// Also where it is compacted already, this waits for the end of that.
	if _, err := s.Compact(ctx, r.revision, clientv3.WithCompactPhysical()); err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return nil, fmt.Errorf("it cannot be compacted: %w", err)
	}
	if status, err = s.Status(ctx, s.endpoint); err != nil {
		return nil, err
	}
	if err := roomFor(s.database, status.DbSizeInUse); err != nil {
		return nil, err
	}
	if err := s.defragment(ctx); err != nil {
		return nil, fmt.Errorf("it cannot be defragmented: %w", err)
	}
	if status, err = s.Status(ctx, s.endpoint); err != nil {
		return nil, err
	}
	r.after = status.DbSize
	alarms, err := s.alarms(ctx)
	if err != nil {
		return nil, err
	}
	if r.wasFull = len(alarms) > 0; r.full() {
		return r, nil
	}
	r.elsewhere, err = s.disarm(ctx, status.Header.MemberId, alarms)
	return r, err
}

// endAlarm ends the alarm that the database has reached its quota, if it is below that now, or can be: etcd keeps the
// alarm in the database, and refuses all writes, however large the quota is with which it is started. The API server's
// own compaction is among these. Room is made where the next writes would raise it again. It returns nil if the alarm
// was not on.
func (s *store) endAlarm(ctx context.Context) (*room, error) {
	alarms, err := s.alarms(ctx)
	if err != nil || len(alarms) == 0 {
		return nil, err
	}
	status, err := s.Status(ctx, s.endpoint)
	if err != nil {
		return nil, err
	}
	r := &room{before: status.DbSize, after: status.DbSize, quota: status.DbSizeQuota, wasFull: true}
	if r.nearlyFull() {
		if made, err := s.makeRoom(ctx); err == nil || r.full() {
			return made, err
		}
	}
	r.elsewhere, err = s.disarm(ctx, status.Header.MemberId, alarms)
	return r, err
}

// EndAlarm ends the alarm that the database has reached its quota, in the etcd that can be asked there and whose data
// is in the folder. Room is made for that, as the quota of the run that comes is not known. It reports whether the
// database is full all the same.
func EndAlarm(ctx context.Context, endpoint, dir string) (full bool, err error) {
	s, err := storeAt(endpoint, DatabaseIn(dir))
	if err != nil {
		return false, err
	}
	defer s.Close()
	alarms, err := s.alarms(ctx)
	if err != nil || len(alarms) == 0 {
		return false, err
	}
	made, err := s.makeRoom(ctx)
	return err == nil && made.full(), err
}

// alarms are those that the database has reached its quota, of all members.
func (s *store) alarms(ctx context.Context) (alarms []*etcdserverpb.AlarmMember, err error) {
	all, err := s.AlarmList(ctx)
	if err != nil {
		return nil, err
	}
	for _, alarm := range all.Alarms {
		if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
			alarms = append(alarms, alarm)
		}
	}
	return alarms, nil
}

// disarm ends the alarms of the member itself, and those of who is no member, which are in data from a snapshot. It
// returns how many other members have reached their quota: each has a database of its own, and only that of this one is
// known to be below it.
func (s *store) disarm(ctx context.Context, own uint64, alarms []*etcdserverpb.AlarmMember) (elsewhere int, err error) {
	list, err := s.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return 0, err
	}
	for _, alarm := range alarms {
		if alarm.MemberID != own && slices.ContainsFunc(list.Members, func(m *etcdserverpb.Member) bool { return m.ID == alarm.MemberID }) {
			elsewhere++
			continue
		}
		if _, err := s.AlarmDisarm(ctx, (*clientv3.AlarmMember)(alarm)); err != nil {
			return elsewhere, fmt.Errorf("its alarm cannot be ended: %w", err)
		}
	}
	return elsewhere, nil
}

// endAlarm does so in an etcd of this process, as far as it can. It is told by fullness if the alarm stays on.
func endAlarm(ctx context.Context, etcd *embed.Etcd, log *zap.Logger) {
	if !isFull(etcd) {
		return
	}
	s := storeOf(etcd)
	defer s.Close()
	r, err := s.endAlarm(ctx)
	switch {
	case err != nil:
		log.Warn("the database has reached its quota, and no room can be made in it", zap.Error(err))
	case r != nil && r.elsewhere > 0:
		log.Warn("the database of another member has reached its quota", zap.Int("members", r.elsewhere))
	case r != nil && !r.full():
		log.Info("the database is below its quota again", zap.Int64("size", r.after), zap.Int64("before", r.before), zap.Int64("quota", r.quota))
	}
}

func quotaOf(etcd *embed.Etcd) int64 {
	if quota := etcd.Config().QuotaBackendBytes; quota != 0 {
		return quota
	}
	return storage.DefaultQuotaBytes
}

// roomFor reports that there is no room for another database of that size beside this one, which a defragmentation
// makes. Where that cannot be seen, it is tried.
func roomFor(database string, bytes int64) error {
	// As much as a start wants to be left must be left, or an etcd that runs is closed meanwhile.
	if err := shortOf(filepath.Dir(database), bytes+bytes/10+spareSpace); err != nil {
		return fmt.Errorf("to defragment it, %w", err)
	}
	return nil
}

// wasteful is from which size on a database is worth a defragmentation at a start, if less than half of it is in use.
const wasteful = 256 << 20

// defragAtStart has etcd defragment its database before it is ready, where more than half of a large one is free. etcd
// uses what is free again, but gives nothing back. It takes as long as writing the rest, and as much space: where that
// is scarce, it is left out.
func defragAtStart(c *embed.Config, s *supervisor.Server) {
	const flag = "bootstrap-defrag-threshold-megabytes"
	if s.Given(flag) || s.Given("config-file") {
		return
	}
	database := DatabaseIn(c.Dir)
	info, err := os.Stat(database)
	if err != nil || info.Size() < wasteful || roomFor(database, info.Size()/2) != nil {
		return
	}
	c.BootstrapDefragThresholdMegabytes = uint(info.Size() / 2 >> 20)
}
