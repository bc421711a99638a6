package etcd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// begun reports whether an etcd has started in the folder: from then on, the data says who the members are.
func (at place) begun() bool { return wal.Exist(at.log()) }

// membership is what data says of the members. The others may have changed it since.
type membership struct {
	count   int  // of the members, with this one; 0 if that is not known
	removed bool // this one is none any more
}

// membership reads that from data that no etcd has open. Nothing is known of data that is not there, or damaged.
func (at place) membership() (m membership) {
	own, known := ownID(at.log())
	if err := view(DatabaseIn(at.Data), func(tx *bbolt.Tx) error {
		if members := tx.Bucket(schema.Members.Name()); members != nil {
			m.count = members.Stats().KeyN
		}
		if removed := tx.Bucket(schema.MembersRemoved.Name()); removed != nil && known {
			m.removed = removed.Get(schema.BackendMemberKey(own)) != nil
		}
		return nil
	}); err != nil {
		return membership{}
	}
	return m
}

// ownID is the ID of the member whose log it is. Each file of the log begins with it.
func ownID(log string) (id types.ID, known bool) {
	files, err := fileutil.ReadDir(log, fileutil.WithExt(".wal"))
	if err != nil || len(files) == 0 {
		return 0, false
	}
	f, err := os.Open(filepath.Join(log, files[len(files)-1]))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	var record walpb.Record
	for decoder.Decode(&record) == nil {
		switch record.GetType() {
		case wal.CrcType:
			decoder.UpdateCRC(record.GetCrc())
		case wal.MetadataType:
			var metadata etcdserverpb.Metadata
			if proto.Unmarshal(record.Data, &metadata) != nil {
				return 0, false
			}
			return types.ID(metadata.GetNodeID()), true
		default:
			return 0, false
		}
	}
	return 0, false
}

// oneOf says whose the data is.
func (at place) oneOf(count int) string {
	return fmt.Sprintf("the data in %s is that of one of %d members of etcd", at.Data, count)
}

// refuseAlone refuses a start without others of data that has some: it would wait for them for ever.
func (at place) refuseAlone(p *supervisor.Plan, s *supervisor.Server) error {
	if m := at.membership(); m.count > 1 && !peered(s) {
		return fmt.Errorf("%s: start it with `%s`", at.oneOf(m.count), p.Command("run", "--advertise"))
	}
	return nil
}

// refuseRemoved refuses a start of a member that has been removed.
func (at place) refuseRemoved() error {
	if at.membership().removed {
		return errRemoved
	}
	return nil
}

// refuseStopped refuses what needs an etcd over data that has others: it would wait for them for ever.
func (at place) refuseStopped() error {
	if count := at.membership().count; count > 1 {
		return fmt.Errorf("%s: start km here and try again, or ask another machine", at.oneOf(count))
	}
	return nil
}

// RefuseSeveral refuses a restore of the data in a folder where there are other members: they would go on without it,
// with other data. status is that of a run whose etcd has the folder open, or nil.
func (a *Access) RefuseSeveral(ctx context.Context, dir string, status *supervisor.Status) error {
	at := place{Data: dir}
	count := at.membership().count
	if status != nil && InUse(dir) {
		endpoint, err := a.Endpoint(status, "etcdutl snapshot restore")
		if err != nil {
			return nil // the restore is refused, or asks nothing of this etcd
		}
		if count, err = countAt(ctx, endpoint, DatabaseIn(dir)); err != nil {
			return fmt.Errorf("it cannot be seen whether there are other members of etcd: %w", err)
		}
	}
	if count <= 1 {
		return nil
	}
	return fmt.Errorf("%s, and the others would go on with what they have: have the others leave with `%s` there, restore, and let them join again",
		at.oneOf(count), cluster.Elsewhere("leave"))
}

// countAt is how many members the etcd at an address knows of.
func countAt(ctx context.Context, endpoint, database string) (int, error) {
	store, err := storeAt(endpoint, database)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	list, err := store.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return 0, err
	}
	return len(list.Members), nil
}

// countTime is how long an etcd may take to say so.
const countTime = 10 * time.Second
